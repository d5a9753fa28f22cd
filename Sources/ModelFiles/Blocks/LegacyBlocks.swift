// The formats of ggml's first generation: 32 elements, one 16-bit scale d, in the _1 formats also a minimum m.
// Element i of a 4-bit block is the low half of byte i, element 16 + i its high half; in the 5-bit formats bit i of
// the word behind the scales is element i's fifth bit.

/// 8-bit codes: d · q.
struct Q8_0: QuantizationBlock {
  static let elementCount = 32
  var scale: Half
  var codes: InlineArray<32, Int8>

  var values: InlineArray<32, Float> {
    let scale = scale.float
    return InlineArray { Float(codes[$0]) * scale }
  }
}

/// 4-bit codes around 8: d · (q − 8).
struct Q4_0: QuantizationBlock {
  static let elementCount = 32
  var scale: Half
  var codes: InlineArray<16, UInt8>

  var values: InlineArray<32, Float> {
    let scale = scale.float
    var values = InlineArray<32, Float>(repeating: 0)
    for index in 0..<16 {
      values[index] = scale * Float(Int32(codes[index] & 15) &- 8)
      values[index &+ 16] = scale * Float(Int32(codes[index] >> 4) &- 8)
    }
    return values
  }
}

/// 4-bit codes: d · q + m.
struct Q4_1: QuantizationBlock {
  static let elementCount = 32
  var scale: Half
  var minimum: Half
  var codes: InlineArray<16, UInt8>

  var values: InlineArray<32, Float> {
    let (scale, minimum) = (scale.float, minimum.float)
    var values = InlineArray<32, Float>(repeating: 0)
    for index in 0..<16 {
      values[index] = scale * Float(Int32(codes[index] & 15)) + minimum
      values[index &+ 16] = scale * Float(Int32(codes[index] >> 4)) + minimum
    }
    return values
  }
}

/// 5-bit codes around 16: d · (q − 16).
struct Q5_0: QuantizationBlock {
  static let elementCount = 32
  var scale: Half
  var fifthBits: InlineArray<4, UInt8>
  var codes: InlineArray<16, UInt8>

  var values: InlineArray<32, Float> {
    let (scale, fifth) = (scale.float, word(fifthBits))
    var values = InlineArray<32, Float>(repeating: 0)
    for index in 0..<16 {
      let low = Int32(codes[index] & 15) | Int32(fifth >> UInt32(index) & 1) << 4
      let high = Int32(codes[index] >> 4) | Int32(fifth >> UInt32(index &+ 16) & 1) << 4
      values[index] = scale * Float(low &- 16)
      values[index &+ 16] = scale * Float(high &- 16)
    }
    return values
  }
}

/// 5-bit codes: d · q + m.
struct Q5_1: QuantizationBlock {
  static let elementCount = 32
  var scale: Half
  var minimum: Half
  var fifthBits: InlineArray<4, UInt8>
  var codes: InlineArray<16, UInt8>

  var values: InlineArray<32, Float> {
    let (scale, minimum, fifth) = (scale.float, minimum.float, word(fifthBits))
    var values = InlineArray<32, Float>(repeating: 0)
    for index in 0..<16 {
      let low = Int32(codes[index] & 15) | Int32(fifth >> UInt32(index) & 1) << 4
      let high = Int32(codes[index] >> 4) | Int32(fifth >> UInt32(index &+ 16) & 1) << 4
      values[index] = scale * Float(low) + minimum
      values[index &+ 16] = scale * Float(high) + minimum
    }
    return values
  }
}

private func word(_ bytes: InlineArray<4, UInt8>) -> UInt32 {
  UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24
}
