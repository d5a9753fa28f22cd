internal import Memory

extension GGUFTensor {
  /// Writes the elements of `rows`, row after row, to the start of `output`.
  ///
  /// Every value has the bits that ggml's reference gives it: f32 arithmetic in its order, no fused multiply-add.
  /// Nothing is allocated. Throws `unsupportedType` for types of which only the name and the size are known.
  ///
  /// - Precondition: the rows lie within `0..<rowCount`, and `output` has room for them.
  public func dequantizeRows(
    _ rows: Range<Int>, into output: inout MutableSpan<Float>
  ) throws(ModelFileError) {
    precondition(
      output.count >= rows.count * columnCount,
      "\(rows.count) rows of \(columnCount) do not fit in \(output.count)")
    guard type.isSupported else {
      throw .unsupportedType(path: path, tensor: name, found: "\(type)")
    }
    withBytes(ofRows: rows) { type.dequantize($0, into: &output) }
  }

  /// All elements as numbers.
  public func floats() throws(ModelFileError) -> [Float] {
    guard type.isSupported else {
      throw .unsupportedType(path: path, tensor: name, found: "\(type)")
    }
    return unsafe [Float](unsafeUninitializedCapacity: elementCount) { buffer, count in
      // SAFETY: the buffer has room for elementCount numbers; all of them are zeroed first, so the span is initialised.
      unsafe buffer.initialize(repeating: 0)
      var output = unsafe buffer.mutableSpan
      withBytes(ofRows: 0..<rowCount) { type.dequantize($0, into: &output) }
      count = elementCount
    }
  }
}
