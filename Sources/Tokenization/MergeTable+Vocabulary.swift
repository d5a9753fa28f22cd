extension MergeTable {
  /// The table of a vocabulary's merges; throws where one of them is not about its tokens.
  init(_ merges: [String], tokens: TokenTable) throws(TokenizationError) {
    guard merges.count <= Self.limit else {
      throw .tooMany(item: "merges", found: merges.count, limit: Self.limit)
    }
    self.init(capacity: merges.count)
    var bytes: [UInt8] = []
    for (index, merge) in merges.enumerated() {
      let utf8 = merge.utf8
      // A token may not hold a space, but its first character may be anything.
      guard let first = utf8.indices.first,
        let space = utf8[utf8.index(after: first)...].firstIndex(of: UInt8(ascii: " ")),
        utf8.index(after: space) < utf8.endIndex
      else { throw .malformedMerge(index: index, found: merge) }
      let (left, right) = (merge[..<space], merge[utf8.index(after: space)...])

      bytes.removeAll(keepingCapacity: true)
      guard ByteAlphabet.append(bytesOf: left, to: &bytes) else {
        throw .unknownMerge(index: index, found: merge, missing: String(left))
      }
      let boundary = bytes.count
      guard ByteAlphabet.append(bytesOf: right, to: &bytes) else {
        throw .unknownMerge(index: index, found: merge, missing: String(right))
      }
      let span = bytes.span
      guard let leftToken = tokens.token(of: span.extracting(..<boundary)) else {
        throw .unknownMerge(index: index, found: merge, missing: String(left))
      }
      guard let rightToken = tokens.token(of: span.extracting(boundary...)) else {
        throw .unknownMerge(index: index, found: merge, missing: String(right))
      }
      guard let result = tokens.token(of: span) else {
        throw .unknownMerge(index: index, found: merge, missing: String(left + right))
      }
      append(leftToken, rightToken, result: result)
    }
  }
}
