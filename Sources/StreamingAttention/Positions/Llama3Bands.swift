/// Llama 3.1's scaling: three bands of wavelengths.
///
/// λ = 2π ÷ θ. Below L₀ ÷ highFrequencyFactor θ stays, above L₀ ÷ lowFrequencyFactor it becomes θ ÷ s, between
/// the two it is blended (`apply_scaling` in Meta's llama-models, models/llama3/model.py).
public struct Llama3Bands: Sendable, Equatable {
  /// s, by which the slow band is interpolated.
  public var factor: Double
  /// Wavelengths longer than the original context divided by this are interpolated in full.
  public var lowFrequencyFactor: Double
  /// Wavelengths shorter than the original context divided by this stay.
  public var highFrequencyFactor: Double
  /// L₀: the context that the model was trained for.
  public var originalContext: Int

  /// A scaling with the defaults of Llama 3.1.
  public init(
    factor: Double = 8, lowFrequencyFactor: Double = 1, highFrequencyFactor: Double = 4,
    originalContext: Int = 8192
  ) {
    self.factor = factor
    self.lowFrequencyFactor = lowFrequencyFactor
    self.highFrequencyFactor = highFrequencyFactor
    self.originalContext = originalContext
  }

  func check() throws(PositionError) {
    try PositionError.check("Llama-3 factor", factor, above: 0)
    try PositionError.check("Llama-3 low-frequency factor", lowFrequencyFactor, above: 0)
    try PositionError.check(
      "Llama-3 high-frequency factor", highFrequencyFactor, above: lowFrequencyFactor)
    try PositionError.check("Llama-3 original context", originalContext, in: 1...Int.max)
  }

  func scaled(_ frequency: Double) -> Double {
    let context = Double(originalContext)
    let wavelength = 2 * Double.pi / frequency
    if wavelength < context / highFrequencyFactor { return frequency }
    if wavelength > context / lowFrequencyFactor { return frequency / factor }
    let share =
      (context / wavelength - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
    return (1 - share) * frequency / factor + share * frequency
  }
}
