/// How far a pair turns per token, in 64-bit fixed-point turns.
///
/// The phase of a distance is distance · step mod 2⁶⁴, an exact integer product, so a token at 262,143 is
/// turned as precisely as one at 1: the only error is half a unit of `step`, 2⁻⁶⁵ turns per token (1e-13 rad at
/// 2²⁰). `Float(position) * inverseFrequency` would be 0.016 rad wrong at 262,143.
package struct TurnRate: Sendable, Equatable {
  /// Turns per token, modulo one turn, in units of 2⁻⁶⁴.
  package let step: UInt64

  /// 1 ÷ 2π in units of 2⁻¹²⁸, as two words.
  ///
  /// 1 ÷ 2π = 0.159154943091895335768883763372514362034459645740456… (OEIS A086201).
  static let inverseTau: (high: UInt64, low: UInt64) = (
    0x28BE_60DB_9391_054A, 0x7F09_D5F4_7D4D_3770
  )

  /// Rounds θ ÷ 2π to the nearest 2⁻⁶⁴ of a turn.
  ///
  /// The product of θ's 53-bit significand and 128 bits of 1 ÷ 2π is formed exactly, then shifted.
  ///
  /// - Precondition: 0 ≤ radiansPerToken < 2¹⁰.
  package init(radiansPerToken: Double) {
    precondition(radiansPerToken >= 0 && radiansPerToken < 0x1p10, "\(radiansPerToken) rad")
    guard radiansPerToken >= 0x1p-1022 else {
      step = 0
      return
    }
    // θ = significand · 2^(exponent − 52);  θ ÷ 2π · 2⁶⁴ = significand · inverseTau · 2^(exponent − 116).
    let significand = radiansPerToken.significandBitPattern | 1 << 52
    let upper = significand.multipliedFullWidth(by: Self.inverseTau.high)
    let lower = significand.multipliedFullWidth(by: Self.inverseTau.low)
    let (middle, carry) = upper.low.addingReportingOverflow(lower.high)
    let high = upper.high + (carry ? 1 : 0)
    // Bits of the product: [high: 64 | middle: 64 | lower.low: 64]; the shift is 107 at least.
    let shift = 116 - Int(radiansPerToken.exponent)
    func bits(from position: Int) -> UInt64 {
      switch position {
      case 192...: 0
      case 128...: high >> UInt64(position - 128)
      default: middle >> UInt64(position - 64) | high << UInt64(128 - position)
      }
    }
    step = bits(from: shift) &+ (bits(from: shift - 1) & 1)
  }

  /// Cosine and sine of the phase of `distance` tokens, which may be negative.
  ///
  /// At most 2 ulps off for distances whose phase is exact (see `step`).
  @inline(__always)
  package func turn(by distance: Int) -> (cosine: Double, sine: Double) {
    Self.turn(ofPhase: phase(of: distance))
  }

  /// The phase of `distance` tokens in units of 2⁻⁶⁴ turns; phases of several distances and rates may be added.
  @inline(__always)
  package func phase(of distance: Int) -> UInt64 { UInt64(bitPattern: Int64(distance)) &* step }

  /// Cosine and sine of a phase, at most 2 ulps off.
  @inline(__always)
  package static func turn(ofPhase phase: UInt64) -> (cosine: Double, sine: Double) {
    // The nearest quarter turn, and what remains of it in [−1/8, 1/8) turn.
    let quarter = (phase &+ 1 << 61) >> 62
    let rest = Double(Int64(bitPattern: phase &- quarter << 62)) * (0x1p-63 * Double.pi)
    let (cosine, sine) = cosineAndSine(ofEighth: rest)
    let (x, y) = quarter & 1 == 0 ? (cosine, sine) : (sine, cosine)
    return ((quarter &+ 1) & 2 == 0 ? x : -x, quarter & 2 == 0 ? y : -y)
  }

  /// Cosine and sine of an angle within π/4 of zero.
  ///
  /// The minimax polynomials of FreeBSD's msun (k_cos.c, k_sin.c; after fdlibm), errors below 2⁻⁵⁷.
  /// Sums and products stay apart: a fused multiply-add is a library call on baseline x86-64.
  @inline(__always)
  static func cosineAndSine(ofEighth x: Double) -> (cosine: Double, sine: Double) {
    let z = x * x
    let s5 = -2.50507602534068634195e-08 + z * 1.58969099521155010221e-10
    let s3 = -1.98412698298579493134e-04 + z * (2.75573137070700676789e-06 + z * s5)
    let s1 = -1.66666666666666324348e-01 + z * (8.33333333332248946124e-03 + z * s3)
    let c5 = 2.08757232129817482790e-09 + z * -1.13596475577881948265e-11
    let c3 = 2.48015872894767294178e-05 + z * (-2.75573143513906633035e-07 + z * c5)
    let c1 = 4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * c3)
    return (1 - (0.5 * z - z * z * c1), x + x * z * s1)
  }
}
