#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Attention with linear biases: every head subtracts slope · distance from its scores.
///
/// Press et al. 2021, arXiv:2108.12409, §3. The distance is an integer and the product f32, after softcap and
/// scale (the contract of the paper and of MPT). BLOOM's form, slope · key position, differs by a constant per row
/// and so gives the same probabilities.
public struct ALiBi: Sendable, Equatable {
  /// One slope per query head, positive, in the order of the heads.
  public let slopes: [Float]

  /// The paper's slopes for any number of heads.
  ///
  /// For a power of two n: 2^(−β·h ÷ n), h = 1…n. Otherwise those of the power of two c below n, then every other
  /// slope of 2c, 2^(−β·(2j − 1) ÷ 2c), as in the paper's code, BLOOM and MPT.
  ///
  /// - Parameters:
  ///   - headCount: query heads.
  ///   - maximumBias: β, 8 unless the model says otherwise (`alibi_bias_max`, `max_alibi_bias`).
  /// - Throws: `PositionError` if either is not above 0.
  public init(headCount: Int, maximumBias: Double = 8) throws(PositionError) {
    try PositionError.check("ALiBi head count", headCount, in: 1...Int(Int32.max))
    try PositionError.check("ALiBi maximum bias", maximumBias, above: 0)
    let whole = 1 << (Int.bitWidth - 1 - headCount.leadingZeroBitCount)
    slopes = (0..<headCount).map { head in
      let numerator = head < whole ? 2 * (head + 1) : 2 * (head - whole) + 1
      return Float(exp2(-maximumBias * Double(numerator) / Double(2 * whole)))
    }
  }

  /// Slopes as a model gives them, one per query head, none below 0.
  public init(slopes: [Float]) throws(PositionError) {
    try PositionError.check("count of ALiBi slopes", slopes.count, in: 1...Int(Int32.max))
    for slope in slopes { try PositionError.check("ALiBi slope", Double(slope), in: 0...) }
    self.slopes = slopes
  }
}
