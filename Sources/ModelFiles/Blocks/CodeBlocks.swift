/// How a tensor type holds 32 weights as `scale · code + minimum`, where it does so exactly.
public enum CodeLayout: Sendable, Equatable {
  /// 4-bit codes; the minimum is −8 · scale.
  case centeredNibbles
  /// 4-bit codes and minima.
  case nibbles
  /// 8-bit codes; the minimum is −128 · scale.
  case centeredBytes
  /// 8-bit codes and minima.
  case bytes
}

extension TensorType {
  /// The layout that keeps every weight of this type as the file has it; nil where none does.
  public var codeLayout: CodeLayout? {
    switch self {
    case .q4_0: .centeredNibbles
    case .q4_1: .nibbles
    case .q8_0, .q5_0, .iq4_NL: .centeredBytes
    case .q5_1: .bytes
    default: nil
    }
  }
}

/// A block of 32 weights as codes with one scale and one minimum.
private protocol CodeBlock: QuantizationBlock {
  var scale: Half { get }
  /// Bits of the minimum, 0 where the layout has none.
  var minimumBits: UInt16 { get }
  /// Unsigned codes, in the order of the row.
  var unsignedCodes: InlineArray<32, UInt8> { get }
}

extension CodeBlock {
  var minimumBits: UInt16 { 0 }
}

extension Q4_0: CodeBlock {
  var unsignedCodes: InlineArray<32, UInt8> { halves(codes) }
}

extension Q4_1: CodeBlock {
  var minimumBits: UInt16 { UInt16(littleEndian: minimum.bits) }
  var unsignedCodes: InlineArray<32, UInt8> { halves(codes) }
}

extension Q8_0: CodeBlock {
  var unsignedCodes: InlineArray<32, UInt8> {
    let codes = codes
    return InlineArray { UInt8(bitPattern: codes[$0]) ^ 0x80 }
  }
}

extension Q5_0: CodeBlock {
  // q − 16 = (q + 112) − 128.
  var unsignedCodes: InlineArray<32, UInt8> {
    let codes = fiveBits(halves(codes), fifthBits)
    return InlineArray { codes[$0] + 112 }
  }
}

extension Q5_1: CodeBlock {
  var minimumBits: UInt16 { UInt16(littleEndian: minimum.bits) }
  var unsignedCodes: InlineArray<32, UInt8> { fiveBits(halves(codes), fifthBits) }
}

extension IQ4_NL: CodeBlock {
  var unsignedCodes: InlineArray<32, UInt8> {
    let codes = halves(codes)
    return InlineArray { UInt8(Int(nonlinearValues[Int(codes[$0])]) + 128) }
  }
}

/// The low halves of all bytes, then the high ones.
private func halves(_ bytes: InlineArray<16, UInt8>) -> InlineArray<32, UInt8> {
  InlineArray { $0 < 16 ? bytes[$0] & 15 : bytes[$0 - 16] >> 4 }
}

private func fiveBits(
  _ codes: InlineArray<32, UInt8>, _ fifthBits: InlineArray<4, UInt8>
) -> InlineArray<32, UInt8> {
  InlineArray { codes[$0] | (fifthBits[$0 / 8] >> UInt8($0 % 8) & 1) << 4 }
}

extension GGUFTensor {
  /// Writes the codes, scales and minima of `rows` to the starts of the outputs, row after row.
  ///
  /// - Parameters:
  ///   - rows: Which rows.
  ///   - codes: `[row][column]`.
  ///   - scales: f16, `[row][column / 32]`.
  ///   - minima: f16, as many; 0 where the layout stores none.
  /// - Precondition: `type.codeLayout` is not nil, the rows lie within `0..<rowCount`, and there is room.
  public func writeCodes(
    ofRows rows: Range<Int>, to codes: inout MutableSpan<UInt8>, scales: inout MutableSpan<UInt16>,
    minima: inout MutableSpan<UInt16>
  ) {
    withBytes(ofRows: rows) { bytes in
      switch type {
      case .q4_0: write(Q4_0.self, bytes, &codes, &scales, &minima)
      case .q4_1: write(Q4_1.self, bytes, &codes, &scales, &minima)
      case .q8_0: write(Q8_0.self, bytes, &codes, &scales, &minima)
      case .q5_0: write(Q5_0.self, bytes, &codes, &scales, &minima)
      case .q5_1: write(Q5_1.self, bytes, &codes, &scales, &minima)
      case .iq4_NL: write(IQ4_NL.self, bytes, &codes, &scales, &minima)
      default: preconditionFailure("\(type) has no codes of 32")
      }
    }
  }
}

private func write<Block: CodeBlock>(
  _ type: Block.Type, _ bytes: RawSpan, _ codes: inout MutableSpan<UInt8>,
  _ scales: inout MutableSpan<UInt16>, _ minima: inout MutableSpan<UInt16>
) {
  for index in 0..<bytes.byteCount / MemoryLayout<Block>.stride {
    // SAFETY: the load is bounds-checked, and a block's fields are integers, for which any bits are valid.
    let block = unsafe bytes.unsafeLoadUnaligned(
      fromByteOffset: index * MemoryLayout<Block>.stride, as: type)
    let unsigned = block.unsignedCodes
    for column in 0..<32 { codes[index * 32 + column] = unsigned[column] }
    scales[index] = UInt16(littleEndian: block.scale.bits)
    minima[index] = block.minimumBits
  }
}
