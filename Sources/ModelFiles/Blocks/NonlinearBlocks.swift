/// The 16 values of the IQ4 codes.
///
/// ggml, `kvalues_iq4nl`.
let nonlinearValues: InlineArray<16, Float> = [
  -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
]

/// 4-bit codes for unevenly spaced values: d · v[q].
struct IQ4_NL: QuantizationBlock {
  static let elementCount = 32
  var scale: Half
  var codes: InlineArray<16, UInt8>

  var values: InlineArray<32, Float> {
    let (scale, table) = (scale.float, nonlinearValues)
    var values = InlineArray<32, Float>(repeating: 0)
    for index in 0..<16 {
      values[index] = scale * table[Int(codes[index] & 15)]
      values[index &+ 16] = scale * table[Int(codes[index] >> 4)]
    }
    return values
  }
}

/// The same codes in blocks of 256, with 6-bit scales around 32 for runs of 32.
struct IQ4_XS: QuantizationBlock {
  static let elementCount = 256
  var scale: Half
  var scalesHigh: InlineArray<2, UInt8>  // two bits a run
  var scalesLow: InlineArray<4, UInt8>  // four bits a run
  var codes: InlineArray<128, UInt8>

  var values: InlineArray<256, Float> {
    let (scale, table) = (scale.float, nonlinearValues)
    var values = InlineArray<256, Float>(repeating: 0)
    for run in 0..<8 {
      let low = scalesLow[run / 2] >> UInt8(run % 2 * 4) & 15
      let high = scalesHigh[run / 4] >> UInt8(run % 4 * 2) & 3
      let factor = scale * Float(Int32(low | high << 4) - 32)
      for index in 0..<16 {
        let code = codes[run * 16 + index]
        values[run * 32 + index] = factor * table[Int(code & 15)]
        values[run * 32 + index + 16] = factor * table[Int(code >> 4)]
      }
    }
    return values
  }
}
