// The k-quants: 256 elements with a 16-bit scale d (and a minimum m) for all, and a few bits of scale for each run of
// 16 or 32 elements. Products are formed as in gguf-py's quants.py: (d · s) · q − (m · t), rounded at each step.

/// 2-bit codes, 4-bit scales and minima for runs of 16.
struct Q2_K: QuantizationBlock {
  static let elementCount = 256
  var scales: InlineArray<16, UInt8>  // low half: scale, high half: minimum
  var codes: InlineArray<64, UInt8>
  var scale: Half
  var minimum: Half

  var values: InlineArray<256, Float> {
    let (scale, minimum) = (scale.float, minimum.float)
    var values = InlineArray<256, Float>(repeating: 0)
    for run in 0..<16 {
      // Each 32 bytes hold four pairs of runs, one per two bits.
      let start = run / 8 * 32 + run % 2 * 16
      let shift = UInt8(run / 2 % 4 * 2)
      let factor = scale * Float(scales[run] & 15)
      let offset = minimum * Float(scales[run] >> 4)
      for index in 0..<16 {
        values[run * 16 + index] =
          factor * Float(Int32(codes[start + index] &>> shift & 3)) - offset
      }
    }
    return values
  }
}

/// 3-bit codes around 4, 6-bit scales around 32 for runs of 16.
struct Q3_K: QuantizationBlock {
  static let elementCount = 256
  var thirdBits: InlineArray<32, UInt8>  // bit b of byte i: element 32b + i
  var codes: InlineArray<64, UInt8>
  var scales: InlineArray<12, UInt8>  // 8 bytes of low halves, then 4 bytes of two more bits each
  var scale: Half

  var values: InlineArray<256, Float> {
    let scale = scale.float
    var values = InlineArray<256, Float>(repeating: 0)
    for run in 0..<16 {
      let start = run / 8 * 32 + run % 2 * 16
      let shift = UInt8(run / 2 % 4 * 2)
      let low = scales[run % 8] >> UInt8(run / 8 * 4) & 15
      let high = scales[8 + run % 4] >> UInt8(run / 4 * 2) & 3
      let factor = scale * Float(Int32(low | high << 4) - 32)
      let (third, thirdShift) = (run % 2 * 16, UInt8(run / 2))
      for index in 0..<16 {
        let code = Int32(codes[start + index] &>> shift & 3)
        let bit = Int32(thirdBits[third + index] &>> thirdShift & 1)
        values[run * 16 + index] = factor * Float(code &+ bit &* 4 &- 4)
      }
    }
    return values
  }
}

/// 4-bit codes, 6-bit scales and minima for runs of 32.
struct Q4_K: QuantizationBlock {
  static let elementCount = 256
  var scale: Half
  var minimum: Half
  var scales: PackedScales
  var codes: InlineArray<128, UInt8>

  var values: InlineArray<256, Float> {
    let (scale, minimum) = (scale.float, minimum.float)
    var values = InlineArray<256, Float>(repeating: 0)
    for run in 0..<8 {
      let start = run / 2 * 32
      let shift = UInt8(run % 2 * 4)
      let factor = scale * Float(scales.scale(run))
      let offset = minimum * Float(scales.minimum(run))
      for index in 0..<32 {
        values[run * 32 + index] =
          factor * Float(Int32(codes[start + index] &>> shift & 15)) - offset
      }
    }
    return values
  }
}

/// 5-bit codes, 6-bit scales and minima for runs of 32.
struct Q5_K: QuantizationBlock {
  static let elementCount = 256
  var scale: Half
  var minimum: Half
  var scales: PackedScales
  var fifthBits: InlineArray<32, UInt8>  // bit b of byte i: element 32b + i
  var codes: InlineArray<128, UInt8>

  var values: InlineArray<256, Float> {
    let (scale, minimum) = (scale.float, minimum.float)
    var values = InlineArray<256, Float>(repeating: 0)
    for run in 0..<8 {
      let start = run / 2 * 32
      let (shift, fifthShift) = (UInt8(run % 2 * 4), UInt8(run))
      let factor = scale * Float(scales.scale(run))
      let offset = minimum * Float(scales.minimum(run))
      for index in 0..<32 {
        let code = Int32(codes[start + index] &>> shift & 15)
        let fifth = Int32(fifthBits[index] &>> fifthShift & 1)
        values[run * 32 + index] = factor * Float(code | fifth << 4) - offset
      }
    }
    return values
  }
}

/// 6-bit codes around 32, 8-bit scales for runs of 16.
struct Q6_K: QuantizationBlock {
  static let elementCount = 256
  var lowBits: InlineArray<128, UInt8>
  var highBits: InlineArray<64, UInt8>
  var scales: InlineArray<16, Int8>
  var scale: Half

  var values: InlineArray<256, Float> {
    let scale = scale.float
    var values = InlineArray<256, Float>(repeating: 0)
    for run in 0..<16 {
      // A half of 128 elements has 64 bytes of low and 32 bytes of high bits, read in four passes of 32 elements.
      let (half, pass, part) = (run / 8, run / 2 % 4, run % 2 * 16)
      let low = half * 64 + pass % 2 * 32 + part
      let lowShift = UInt8(pass / 2 * 4)
      let high = half * 32 + part
      let highShift = UInt8(pass * 2)
      let factor = scale * Float(scales[run])
      for index in 0..<16 {
        let code = Int32(lowBits[low + index] &>> lowShift & 15)
        let rest = Int32(highBits[high + index] &>> highShift & 3)
        values[run * 16 + index] = factor * Float((code | rest << 4) &- 32)
      }
    }
    return values
  }
}

/// Eight 6-bit scales and eight 6-bit minima in 12 bytes.
///
/// The first four of each fill the low bits of bytes 0–3 and 4–7; the last four have their low halves in bytes
/// 8–11 (scale low, minimum high) and their two high bits on top of bytes 0–3 and 4–7.
struct PackedScales: BitwiseCopyable {
  var bytes: InlineArray<12, UInt8>

  func scale(_ run: Int) -> UInt8 {
    run < 4 ? bytes[run] & 63 : bytes[run + 4] & 15 | (bytes[run - 4] >> 6) << 4
  }

  func minimum(_ run: Int) -> UInt8 {
    run < 4 ? bytes[run + 4] & 63 : bytes[run + 4] >> 4 | (bytes[run] >> 6) << 4
  }
}
