#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// LongRoPE: a divisor per pair, found by search, in a list for short and one for long sequences.
///
/// Ding et al. 2024, arXiv:2402.13753; θ′ = θ ÷ divisor as in Phi-3 and in Transformers' `longrope`. The long list
/// applies when the length *exceeds* the original context: exactly L₀ is still short.
public struct LongRoPE: Sendable, Equatable {
  /// Divisors, one per pair, up to the original context.
  public var shortDivisors: [Double]
  /// Divisors, one per pair, beyond the original context.
  public var longDivisors: [Double]
  /// L₀: the context that the model was trained for.
  public var originalContext: Int
  /// a, on the rotary channels of queries and keys.
  public var attentionFactor: Double

  /// A scaling with a given attention factor.
  public init(
    shortDivisors: [Double], longDivisors: [Double], originalContext: Int, attentionFactor: Double
  ) {
    self.shortDivisors = shortDivisors
    self.longDivisors = longDivisors
    self.originalContext = originalContext
    self.attentionFactor = attentionFactor
  }

  /// A scaling whose attention factor is √(1 + ln s ÷ ln L₀), 1 where s ≤ 1.
  ///
  /// s is `factor`, the longest context over the original one (`max_position_embeddings` ÷
  /// `original_max_position_embeddings`); the paper's eq. 4.
  public init(
    shortDivisors: [Double], longDivisors: [Double], originalContext: Int, factor: Double
  ) {
    self.init(
      shortDivisors: shortDivisors, longDivisors: longDivisors, originalContext: originalContext,
      attentionFactor: factor <= 1
        ? 1 : (1 + log(factor) / log(Double(originalContext))).squareRoot())
  }

  func check(pairCount: Int) throws(PositionError) {
    try PositionError.check("LongRoPE original context", originalContext, in: 1...Int.max)
    try PositionError.check("LongRoPE attention factor", attentionFactor, above: 0)
    try RotaryEmbedding.check("LongRoPE short divisors", shortDivisors, pairCount: pairCount)
    try RotaryEmbedding.check("LongRoPE long divisors", longDivisors, pairCount: pairCount)
  }
}
