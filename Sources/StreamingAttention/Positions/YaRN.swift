#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// YaRN: interpolation by parts, with a correction of the attention's temperature.
///
/// Peng et al. 2023, arXiv:2309.00071, §3.2 and §3.4; the names follow `rope_parameters` of Transformers.
public struct YaRN: Sendable, Equatable {
  /// s: the context is this many times the original one.
  public var factor: Double
  /// L₀: the context that the model was trained for.
  public var originalContext: Int
  /// Pairs that turn at least this often within L₀ keep their frequency.
  public var betaFast: Double
  /// Pairs that turn at most this often within L₀ are interpolated.
  public var betaSlow: Double
  /// Whether the ends of the ramp are widened to whole pairs.
  public var ramp: Ramp
  /// How the attention factor a is found.
  public var temperature: Temperature

  /// The ends of the ramp between pairs that keep their frequency and pairs that are interpolated.
  public enum Ramp: Sendable, Equatable {
    /// Rounded outwards to whole pairs (`truncate: true`, the default of Transformers and ggml).
    case truncated
    /// As the formula gives them (`truncate: false`, gpt-oss).
    case exact
  }

  /// Where the attention factor comes from.
  public enum Temperature: Sendable, Equatable {
    /// a = 0.1·ln s + 1, the paper's recommendation (eq. 15).
    case recommended
    /// `attention_factor`: a as given.
    case given(Double)
    /// DeepSeek: a = m(mscale) ÷ m(mscaleAllDimensions), and a factor m(mscaleAllDimensions)² for all channels.
    ///
    /// m(k) = 0.1·k·ln s + 1 (1 where s ≤ 1). The second factor is `RotaryEmbedding.softmaxScaleFactor`. As in
    /// Transformers, a falls back to m(1) where either is 0.
    case mscale(Double, allDimensions: Double)
  }

  /// A scaling with the defaults of the paper.
  public init(
    factor: Double, originalContext: Int, betaFast: Double = 32, betaSlow: Double = 1,
    ramp: Ramp = .truncated, temperature: Temperature = .recommended
  ) {
    self.factor = factor
    self.originalContext = originalContext
    self.betaFast = betaFast
    self.betaSlow = betaSlow
    self.ramp = ramp
    self.temperature = temperature
  }

  func check() throws(PositionError) {
    try PositionError.check("YaRN factor", factor, above: 0)
    try PositionError.check("YaRN original context", originalContext, in: 1...Int.max)
    try PositionError.check("YaRN slow β", betaSlow, above: 0)
    try PositionError.check("YaRN fast β", betaFast, in: betaSlow...)
    switch temperature {
    case .recommended: break
    case .given(let attentionFactor):
      try PositionError.check("YaRN attention factor", attentionFactor, above: 0)
    case .mscale(let rotary, let allDimensions):
      try PositionError.check("YaRN mscale", rotary, in: 0...)
      try PositionError.check("YaRN mscale for all dimensions", allDimensions, in: 0...)
    }
  }

  /// m(k) of DeepSeek's `yarn_get_mscale`.
  private func magnitude(_ k: Double) -> Double {
    factor <= 1 ? 1 : 0.1 * k * log(factor) + 1
  }

  var attentionFactor: Double {
    switch temperature {
    case .given(let attentionFactor): attentionFactor
    case .mscale(let rotary, let allDimensions) where rotary != 0 && allDimensions != 0:
      magnitude(rotary) / magnitude(allDimensions)
    case .recommended, .mscale: magnitude(1)
    }
  }

  var softmaxScaleFactor: Double {
    guard case .mscale(_, let allDimensions) = temperature, allDimensions != 0 else { return 1 }
    return magnitude(allDimensions) * magnitude(allDimensions)
  }

  /// θ′ = (θ ÷ s)·ramp + θ·(1 − ramp); equation 13 with the ramp over pair numbers of the authors' code.
  func scaled(_ frequencies: [Double], base: Double) -> [Double] {
    let dimensions = Double(2 * frequencies.count)
    /// The pair (as a real number) that turns `count` times within the original context.
    func pair(turning count: Double) -> Double {
      dimensions * log(Double(originalContext) / (count * 2 * Double.pi)) / (2 * log(base))
    }
    var (low, high) = (pair(turning: betaFast), pair(turning: betaSlow))
    if ramp == .truncated {
      (low, high) = (low.rounded(.down), high.rounded(.up))
    }
    (low, high) = (max(low, 0), min(high, dimensions - 1))
    if low == high { high += 0.001 }
    return frequencies.indices.map { index in
      let share = min(max((Double(index) - low) / (high - low), 0), 1)
      return frequencies[index] / factor * share + frequencies[index] * (1 - share)
    }
  }
}
