internal import Memory

/// A tensor in a mapped file: what it is and where its bytes lie.
///
/// Rows are runs of `dimensions[0]` elements; the tensor of a linear layer has one row per output.
public struct GGUFTensor: Sendable {
  /// The tensor's name, unique in its model.
  public let name: String
  /// The dimensions, fastest first, as GGUF stores them; none for a single number.
  public let dimensions: [Int]
  /// How the elements are stored.
  public let type: TensorType
  /// Where the elements lie in the file at `path`.
  public let byteRange: Range<Int>
  /// The file that holds them: of a split model, one of its shards.
  public var path: String { file.path }

  let file: MappedFile

  /// The number of elements of a row.
  public var columnCount: Int { dimensions.first ?? 1 }
  /// The number of rows, all further dimensions taken together.
  public var rowCount: Int { dimensions.dropFirst().reduce(1, *) }
  /// The number of elements.
  public var elementCount: Int { columnCount * rowCount }

  /// Bytes of a row; rows follow each other without gaps.
  public var rowByteCount: Int { columnCount / type.block.elementCount * type.block.byteCount }

  /// Throws unless the dimensions (fastest first) are `shape`; trailing dimensions of 1 count as absent.
  public func expect(shape: [Int]) throws(ModelFileError) {
    guard trimmed(dimensions) == trimmed(shape) else {
      throw .wrongShape(path: path, tensor: name, found: dimensions, wanted: shape)
    }
  }

  /// Lends the bytes of these rows as they stand in the file.
  ///
  /// - Precondition: the rows lie within `0..<rowCount`.
  public func withBytes<Result: ~Copyable, Failure: Error>(
    ofRows rows: Range<Int>, _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(
      rows.lowerBound >= 0 && rows.upperBound <= rowCount, "rows \(rows) of \(rowCount)")
    let start = byteRange.lowerBound
    let range = start + rows.lowerBound * rowByteCount..<start + rows.upperBound * rowByteCount
    return try file.withBytes(in: range, body)
  }

  private func trimmed(_ shape: [Int]) -> ArraySlice<Int> {
    shape[..<((shape.lastIndex { $0 != 1 } ?? -1) + 1)]
  }
}
