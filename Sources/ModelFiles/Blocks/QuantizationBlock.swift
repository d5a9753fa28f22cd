/// The layout of one block of a tensor type, and the numbers that it stands for.
///
/// Conforming types have the layout of the file: their stored properties in its order, without padding.
protocol QuantizationBlock: BitwiseCopyable {
  associatedtype Values: BitwiseCopyable

  /// Number of elements in `values`.
  static var elementCount: Int { get }

  /// The dequantised elements, in the order of the row.
  var values: Values { get }
}

extension TensorType {
  /// Writes the elements of whole blocks to the start of `output`.
  ///
  /// - Precondition: the type is supported, and `output` has room.
  func dequantize(_ bytes: RawSpan, into output: inout MutableSpan<Float>) {
    switch self {
    case .f32: dequantizeBlocks(of: Single.self, bytes, into: &output)
    case .f16: dequantizeBlocks(of: Half.self, bytes, into: &output)
    case .bf16: dequantizeBlocks(of: BrainFloat.self, bytes, into: &output)
    case .q8_0: dequantizeBlocks(of: Q8_0.self, bytes, into: &output)
    case .q4_0: dequantizeBlocks(of: Q4_0.self, bytes, into: &output)
    case .q4_1: dequantizeBlocks(of: Q4_1.self, bytes, into: &output)
    case .q5_0: dequantizeBlocks(of: Q5_0.self, bytes, into: &output)
    case .q5_1: dequantizeBlocks(of: Q5_1.self, bytes, into: &output)
    case .q2_K: dequantizeBlocks(of: Q2_K.self, bytes, into: &output)
    case .q3_K: dequantizeBlocks(of: Q3_K.self, bytes, into: &output)
    case .q4_K: dequantizeBlocks(of: Q4_K.self, bytes, into: &output)
    case .q5_K: dequantizeBlocks(of: Q5_K.self, bytes, into: &output)
    case .q6_K: dequantizeBlocks(of: Q6_K.self, bytes, into: &output)
    case .iq4_NL: dequantizeBlocks(of: IQ4_NL.self, bytes, into: &output)
    case .iq4_XS: dequantizeBlocks(of: IQ4_XS.self, bytes, into: &output)
    case .q8_1, .q8_K, .iq2_XXS, .iq2_XS, .iq3_XXS, .iq1_S, .iq3_S, .iq2_S, .i8, .i16, .i32, .i64,
      .f64, .iq1_M, .tq1_0, .tq2_0, .mxfp4, .nvfp4, .q1_0:
      preconditionFailure("\(self) cannot be dequantised")
    }
  }
}

/// Dequantises one block after the other; the bounds are checked once per block on both sides.
private func dequantizeBlocks<Block: QuantizationBlock>(
  of type: Block.Type, _ bytes: RawSpan, into output: inout MutableSpan<Float>
) {
  let blockCount = bytes.byteCount / MemoryLayout<Block>.stride
  var target = unsafe output.mutableBytes
  for index in 0..<blockCount {
    // SAFETY: the load is bounds-checked, and a block's fields are integers, for which any bits are valid.
    let block = unsafe bytes.unsafeLoadUnaligned(
      fromByteOffset: index * MemoryLayout<Block>.stride, as: type)
    target.storeBytes(
      of: block.values, toByteOffset: index * Block.elementCount * MemoryLayout<Float>.stride,
      as: Block.Values.self)
  }
}
