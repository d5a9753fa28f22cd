/// A 32-bit IEEE number.
struct Single: QuantizationBlock {
  static let elementCount = 1
  var bits: UInt32

  var values: Float { Float(bitPattern: UInt32(littleEndian: bits)) }
}

/// A 16-bit IEEE number.
struct Half: QuantizationBlock {
  static let elementCount = 1
  var bits: UInt16

  var values: Float { float }

  /// The same number in 32 bits; a NaN keeps its payload.
  ///
  /// Exponent and mantissa move into place and are then too small by 2^112; the multiplication makes good for that
  /// and is exact, for subnormal numbers too. Integer operations and one product, so loops over it vectorise.
  var float: Float {
    let half = UInt32(UInt16(littleEndian: bits))
    let magnitude = half & 0x7fff
    let scaled = Float(bitPattern: magnitude << 13) * Float(bitPattern: 0x7780_0000)
    let special = magnitude << 13 | 0x7f80_0000
    let result = magnitude < 0x7c00 ? scaled.bitPattern : special
    return Float(bitPattern: result | (half & 0x8000) << 16)
  }
}

/// The upper half of a 32-bit IEEE number.
struct BrainFloat: QuantizationBlock {
  static let elementCount = 1
  var bits: UInt16

  var values: Float { Float(bitPattern: UInt32(UInt16(littleEndian: bits)) << 16) }
}
