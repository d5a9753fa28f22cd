/// Which roundings the twin allows the code under test: with them it derives a bound for each row.
///
/// u = 2⁻²⁴ and b = 2⁻⁸ are the unit roundoffs of f32 and bf16. Errors of a sum of n terms are bounded by
/// min(n, λ√n)·u·Σ|terms|: the first certain, the second exceeded with probability 2·exp(−λ²/2) if rounding errors
/// are independent (Higham & Mary 2019, "A new approach to probabilistic rounding error analysis", theorem 2.4). λ = 8:
/// once in 4e13 sums. Roundings to bf16 likewise: min(b·Σ|terms|, λ·b·√Σ terms²).
///
/// **A score** Σ q̃·k, q̃ = R(q)·scale: five products and constants (5u), two turns at most of three roundings on two
/// products (√2·3u of the pair's length h each), so 14u·h per channel, taken as 16; then the sum of n products, and two
/// roundings in converting and adding. In all (18 + min(n, λ√n))·u·A, A = Σ h·|k|. Queries in bf16 add
/// min(b·A, λ·b·√Σ(q̃k)²), or, where the twin rounds them likewise (`roundsQueriesToo`), only what a channel can
/// jump that lies within 16u·h of a tie. A key that is turned when it is read adds one more turn, 5u of its pair's length. The softcap c·tanh(s ÷ c) never stretches an error and adds one of its own:
/// 2^x is off by 3u, the other five operations by u, so 2·(3u + 6u)·c. ALiBi and the sums around it: four roundings,
/// each of a number no larger than |s| + slope·distance.
///
/// **A weight** e^(s − m), m at most 8·ln 2 below the largest score M (`maximumSlack` of the kernels): the difference is rounded
/// (u·max(M − s, 8·ln 2)), 2^x is off by 3u (with AVX-512 5.4e-8 for the polynomial, and u each for the table's number and the result; less elsewhere), by 2,690u more where
/// it is rounded to bf16 (1.6e-4, a tangent at the nearest sixteenth), and every later rescaling of the state, at most one per 64 slots and
/// 14 in the tree of leaves, by 3u and 2u for its difference and its product.
///
/// **The output** o = Σ w·v, Σ w = 1: errors δ of the scores move it by Σ w·δ·|v − o|, times e^(2·max δ) for the second
/// order. Probabilities in bf16 (their sum is that of the rounded ones): min(b·Σ w|v − o|, λ·b·√Σ w²(v − o)²). The
/// sum over N slots: min(N′, λ√N′)·u·Σ w|v| with N′ = N + rescalings + 3; the denominator likewise, on |o|, in
/// sixteen lanes; normalising 4u·|o|.
///
/// **Codes.** A query that meets keys in codes is rounded to multiples of t ÷ top, t the largest of its products with the
/// channels' scales; so a score is off by at most Σ code·t ÷ (2·top), and in the root mean square by no more than
/// e = |q̃|·scale·√Σ code² ÷ (2·top), with the largest scale. Probabilities that meet values in codes are multiples of
/// p̂ ÷ top, p̂ the largest of the page: off by half of that each, f. Values do not depend on these roundings, so the output moves
/// by at most λ·√Σ (w²e² + f²)(v − o)², and lse by λ·√Σ (w²e² + f²). In the sums, |zero| + scale·code takes the place of
/// a decoded number's magnitude.
///
/// **lse** = M + ln ℓ moves by Σ w·δ, the errors of ℓ, and 2u·|lse| for its own roundings.
package struct ReferenceArithmetic: Sendable {
  /// Queries are rounded to bf16 before they meet keys.
  package var roundsQueries: Bool
  /// Probabilities are rounded to bf16 before they meet values.
  package var roundsProbabilities: Bool
  /// The twin rounds queries to bf16 too, so that the bound need not hold their rounding errors.
  package var roundsQueriesToo = false
  /// How far stored keys may be off, relative to the length of their pairs; 0 where the twin reads them as stored.
  package var keyUnit = 0.0

  package init(roundsQueries: Bool = false, roundsProbabilities: Bool = false, keyUnit: Double = 0)
  {
    self.roundsQueries = roundsQueries
    self.roundsProbabilities = roundsProbabilities
    self.keyUnit = keyUnit
  }

  static let f32 = 0x1p-24
  static let bf16 = 0x1p-8
  static let lambda = 8.0
  /// How far scores lie above the number that they are taken relative to, at most: 8 in units of log2.
  static let slack = 8 * 0.6931471805599453
  /// What a probability that is rounded to bf16 is off by before, in units of u.
  static let shortExponential = 2_690.0
  /// Roundings of a query channel, relative to the length of its pair.
  static let queryRoundings = 16.0
  /// Roundings of a key channel that is turned when it is read: √2·3u.
  static let keyRoundings = 5.0

  /// How many unit roundoffs a sum of this many terms may be off.
  static func roundings(ofSum count: Int) -> Double {
    min(Double(count), lambda * Double(count).squareRoot())
  }

  /// `x` rounded to bf16, to nearest, ties to even.
  static func bfloat16(_ x: Double) -> Double {
    // 45 bits less than a Double has; the exponents of interest are far from either end.
    let unit = x.ulp * 0x1p45
    return x.isFinite && x != 0 ? (x / unit).rounded(.toNearestOrEven) * unit : x
  }
}
