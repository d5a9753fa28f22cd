#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The softmax of one query head over some tokens in Double, with what an engine's may be off.
///
/// With e for the error of a score, an output is off by Σ w·e·(v − o) over the weights w. Errors of keys are those of
/// independent roundings, so the sum is at most four times its root mean square, √Σ w²·e²·|v − o|², which is bounded
/// by 2·(Σ w²·e²·|v|² + |o|²·Σ w²·e²).
struct OracleState: Sendable {
  var maximum = -Double.infinity
  /// Σ w, relative to e^maximum as all that follows.
  var denominator = 0.0
  /// Σ w·v.
  var output: [Double]
  /// Σ w·e.
  var scoreError = 0.0
  /// Σ w²·e².
  var errorSquares = 0.0
  /// Σ w²·e²·|v|².
  var errorValues = 0.0
  /// Σ w².
  var weightSquares = 0.0
  /// Σ w²·|v|².
  var valueSquares = 0.0
  /// Σ w²·c², of values that are off by c in the root mean square.
  var codeSquares = 0.0

  init(width: Int) { output = [Double](repeating: 0, count: width) }

  /// Adds a token, whose score may be off by `error`, and whose value in each direction by four times `codeError`.
  mutating func add(
    score: Double, error: Double, value: [Double], square: Double, codeError: Double = 0
  ) {
    if score > maximum { rescale(to: score) }
    let weight = exp(score - maximum)
    denominator += weight
    for channel in output.indices { output[channel] += weight * value[channel] }
    let (weightSquare, errorSquare) = (weight * weight, error * error)
    scoreError += weight * error
    errorSquares += weightSquare * errorSquare
    errorValues += weightSquare * errorSquare * square
    weightSquares += weightSquare
    valueSquares += weightSquare * square
    codeSquares += weightSquare * codeError * codeError * Double(value.count)
  }

  mutating func merge(_ other: OracleState) {
    guard other.denominator > 0 else { return }
    var other = other
    let top = max(maximum, other.maximum)
    rescale(to: top)
    other.rescale(to: top)
    denominator += other.denominator
    for channel in output.indices { output[channel] += other.output[channel] }
    scoreError += other.scoreError
    errorSquares += other.errorSquares
    errorValues += other.errorValues
    weightSquares += other.weightSquares
    valueSquares += other.valueSquares
    codeSquares += other.codeSquares
  }

  private mutating func rescale(to top: Double) {
    guard top > maximum else { return }
    let factor = exp(maximum - top)
    maximum = top
    denominator *= factor
    for channel in output.indices { output[channel] *= factor }
    scoreError *= factor
    errorSquares *= factor * factor
    errorValues *= factor * factor
    weightSquares *= factor * factor
    valueSquares *= factor * factor
    codeSquares *= factor * factor
  }

  /// How far an output and its log-sum-exp are from this state: above 1 if by more than rounding explains.
  func worstRatio(
    output received: ArraySlice<Float>, logSumExp: Float, skippedMass: Double, units: RoundingUnits
  ) -> Double {
    let (scoreError, square) = (scoreError / denominator, denominator * denominator)
    var (norm, difference) = (0.0, 0.0)
    for (sum, number) in zip(output, received) {
      let answer = sum / denominator
      norm += answer * answer
      difference += (Double(number) - answer) * (Double(number) - answer)
    }
    let values = valueSquares / square
    let variance =
      2 * (errorValues / square + norm * errorSquares / square)
      + 16 * (units.probability * units.probability * values + codeSquares / square)
      + RoundingUnits.sum * RoundingUnits.sum * (norm + values)
    let largest = 3.5 * Double(output.count).squareRoot()
    let tolerance = variance.squareRoot() * exp(2 * scoreError) + 2 * skippedMass * largest + 1e-30
    let expected = maximum + log(denominator)
    let allowed =
      scoreError + RoundingUnits.sum + 8 * 0x1p-24 * expected.magnitude + 2 * skippedMass
      // The denominator is that of the probabilities as they meet values.
      + 4 * units.probability * (weightSquares / square).squareRoot()
    let ratios = [
      difference.squareRoot() / tolerance, (Double(logSumExp) - expected).magnitude / allowed,
    ]
    return ratios.reduce(0) { $1.isNaN ? .infinity : max($0, $1) }
  }
}
