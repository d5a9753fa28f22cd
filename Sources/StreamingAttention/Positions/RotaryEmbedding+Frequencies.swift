#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension RotaryEmbedding {
  /// Radians per token above which no pair may turn; `TurnRate` keeps its precision below.
  static let frequencyLimit = 0x1p10

  /// What tells the frequencies of an embedding from those of another, in one line.
  func difference(from other: RotaryEmbedding) -> String {
    let pairs = zip(frequencies, other.frequencies).enumerated()
    guard let (pair, (own, others)) = pairs.first(where: { $1.0 != $1.1 }) else {
      return "\(pairCount) pairs, not \(other.pairCount)"
    }
    return
      "base \(base), not \(other.base), pair \(pair) by \(own) radians per token, not \(others)"
  }

  static func check(
    _ list: String, _ divisors: [Double], pairCount: Int
  ) throws(PositionError) {
    guard divisors.count == pairCount else {
      throw .wrongCount(list: list, received: divisors.count, allowed: pairCount)
    }
    for divisor in divisors {
      try PositionError.check("a value of \(list)", divisor, above: 0)
    }
  }

  /// θ′ of every pair at a length of the sequence.
  static func frequencies(
    headDimension: Int, rotaryDimensions: Int, base: Double, scaling: RotaryScaling,
    divisors: [Double]?, length: Int
  ) -> [Double] {
    let pairs = rotaryDimensions / 2
    /// θ of every turning pair, the exponents over `dimensions` channels.
    func plain(base: Double, over dimensions: Int) -> [Double] {
      (0..<pairs).map { index in
        1 / pow(base, Double(2 * index) / Double(dimensions)) / (divisors?[index] ?? 1)
      }
    }
    /// The base times growth^(d ÷ (d − 2)); a single pair turns by 1 whatever the base is.
    func grownBase(by growth: Double) -> Double {
      pairs == 1
        ? base : base * pow(growth, Double(rotaryDimensions) / Double(rotaryDimensions - 2))
    }
    let unscaled = plain(base: base, over: rotaryDimensions)
    switch scaling {
    case .none: return unscaled
    case .linear(let factor): return unscaled.map { $0 / factor }
    case .ntkAware(let factor):
      return plain(base: grownBase(by: factor), over: rotaryDimensions)
    case .dynamicNTK(let factor, let originalContext):
      let stretch = Double(max(length, originalContext)) / Double(originalContext)
      return plain(
        base: grownBase(by: factor * stretch - (factor - 1)), over: rotaryDimensions)
    case .yarn(let yarn): return yarn.scaled(unscaled, base: base)
    case .llama3(let bands): return unscaled.map(bands.scaled)
    case .longRoPE(let longRoPE):
      let isLong = length > longRoPE.originalContext
      let list = isLong ? longRoPE.longDivisors : longRoPE.shortDivisors
      return zip(unscaled, list).map { $0 / $1 }
    case .proportional(let factor):
      let turning = plain(base: base, over: headDimension).map { $0 / factor }
      return turning + Array(repeating: 0, count: headDimension / 2 - pairs)
    }
  }
}
