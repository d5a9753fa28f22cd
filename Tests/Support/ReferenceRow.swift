/// What a query row must give, and how far the code under test may be off.
package struct ReferenceRow: Sendable {
  /// Zeros where no key is visible.
  package let output: [Double]
  /// Natural logarithm of the softmax denominator, the sink included.
  package let logSumExp: Double
  /// How far each channel may be off.
  package let outputBound: [Double]
  package let logSumExpBound: Double

  /// The largest error in units of its bound: at most 1 if all is well, infinite for NaN.
  package func worstRatio<Output: Collection<Float>>(output: Output, logSumExp: Float) -> Double {
    var worst = Self.ratio(Double(logSumExp), self.logSumExp, logSumExpBound)
    for (channel, number) in output.enumerated() {
      worst = max(worst, Self.ratio(Double(number), self.output[channel], outputBound[channel]))
    }
    return worst
  }

  /// The largest difference to another computation of the same row, in units of both bounds together.
  package static func ratio(_ received: Double, _ expected: Double, _ bound: Double) -> Double {
    if received == expected { return 0 }
    let error = (received - expected).magnitude
    return error.isFinite && bound > 0 ? error / bound : .infinity
  }
}
