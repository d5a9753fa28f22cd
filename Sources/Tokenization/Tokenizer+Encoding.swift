extension Tokenizer {
  /// The tokens of a text, without a begin token.
  ///
  /// O(n log n) in the length of the text. Bytes that have no token are left out, as llama.cpp does.
  public func encode(_ text: String, specialTokens: SpecialTokens) -> [Int] {
    encode(bytes: Array(text.utf8), specialTokens: specialTokens)
  }

  /// The tokens of a text that starts a sequence: `beginOfSequence`, where the model wants one, then the text's.
  public func encodeFromBeginning(_ text: String, specialTokens: SpecialTokens) -> [Int] {
    (beginOfSequence.map { [$0] } ?? []) + encode(text, specialTokens: specialTokens)
  }

  /// The tokens of any bytes; ones that are not UTF-8 count as symbols.
  public func encode(bytes: [UInt8], specialTokens: SpecialTokens) -> [Int] {
    let literals = specialTokens == .parsed ? allLiterals : userLiterals
    var (output, merger) = ([Int](), PieceMerger())
    var (start, position) = (0, 0)
    while position < bytes.count {
      guard let match = literals.match(in: bytes, at: position) else {
        position += 1
        continue
      }
      encode(plain: bytes[start..<position], with: &merger, into: &output)
      output.append(match.token)
      (start, position) = (match.end, match.end)
    }
    encode(plain: bytes[start...], with: &merger, into: &output)
    return output
  }

  /// The bytes of a text for which the vocabulary has no token, each once: what `encode` leaves out.
  public func unencodableBytes(in text: String) -> Set<UInt8> {
    Set(text.utf8.filter { tables.byteTokens[Int($0)] < 0 })
  }

  private func encode(
    plain bytes: ArraySlice<UInt8>, with merger: inout PieceMerger, into output: inout [Int]
  ) {
    guard !bytes.isEmpty else { return }
    let text = ClassifiedText(Array(bytes))
    let span = text.bytes.span
    var start = 0
    while start < text.count {
      let end = preTokenizer.end(ofPieceAt: start, in: text)
      let piece = span.extracting(text.offsets[start]..<text.offsets[end])
      if preTokenizer.takesWholePieces, let token = tables.tokens.token(of: piece) {
        output.append(Int(token))
      } else {
        merger.merge(piece, with: tables, into: &output)
      }
      start = end
    }
  }
}
