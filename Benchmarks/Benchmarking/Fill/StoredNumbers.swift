package import StreamingAttention

extension ElementType {
  /// `x` as the cache writes it: rounded to nearest, ties to even; in a quantised cache, before it is quantised.
  package func stored(_ x: Double) -> Double {
    switch self {
    case .float32: Double(Float(x))
    case .float16, .int8, .int4: Double(Float16(x))
    case .bfloat16:
      // 45 bits less than a Double has; the exponents of interest are far from either end.
      x == 0 ? 0 : (x / (x.ulp * 0x1p45)).rounded(.toNearestOrEven) * (x.ulp * 0x1p45)
    }
  }
}

/// Units of rounding, and how many of them a sum may be off.
///
/// Sums of n terms are off by min(n, λ·√n)·u·Σ|terms| at most: the first certain, the second exceeded with probability
/// 2·exp(−λ² ÷ 2) if rounding errors are independent (Higham & Mary 2019, "A new approach to probabilistic rounding error
/// analysis", theorem 2.4); λ = 8: once in 4e13 sums.
package enum Rounding {
  package static let f32 = 0x1p-24
  package static let bf16 = 0x1p-8
  package static let lambda = 8.0

  package static func ofSum(_ count: Int) -> Double {
    min(Double(count), lambda * Double(count).squareRoot())
  }
}
