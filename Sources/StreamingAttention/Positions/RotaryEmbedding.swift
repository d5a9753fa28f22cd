#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Rotary position embedding: pair i of a query or key is turned by position · frequencies[i].
///
/// Su et al. 2021, arXiv:2104.09864, §3.2.2. A value is good for one length of the sequence where the scaling
/// depends on it; `resolved(forLength:)` gives the value for another. Two values with equal frequencies are
/// equal as far as stored keys go: compare `frequencies`.
public struct RotaryEmbedding: Sendable, Equatable {
  /// Channels of a query or key.
  public let headDimension: Int
  /// Channels that turn, an even number; the others pass through unscaled.
  public let rotaryDimensions: Int
  /// b in θ = b^(−2i ÷ d).
  public let base: Double
  /// Which channels form a pair.
  public let pairing: RotaryPairing
  /// How the frequencies are changed for long contexts.
  public let scaling: RotaryScaling
  /// Radians per token of each pair; a pair with frequency 0 stands still.
  public let frequencies: [Double]
  /// a: cosines and sines of queries and keys are multiplied by it (YaRN, LongRoPE; 1 elsewhere).
  ///
  /// On scores it acts as a² on the rotary channels only, so the engine applies it to queries.
  public let attentionFactor: Double
  /// What the model multiplies its softmax scale by, on all channels.
  ///
  /// DeepSeek's and Ministral's m(`mscale_all_dim`)²; 1 for everything but `YaRN.Temperature.mscale`. The engine
  /// does not apply it: the caller's `scale` has to contain it.
  public let softmaxScaleFactor: Double

  /// θ over the caller's divisors, before scaling.
  private let divisors: [Double]?
  package let rates: [TurnRate]

  /// An embedding for sequences no longer than the original context of its scaling.
  ///
  /// - Parameters:
  ///   - headDimension: channels of a query or key, as many as a ``LayerShape`` may have at most; an engine refuses
  ///     more than its layer's keys have.
  ///   - rotaryDimensions: channels that turn, even; nil for the whole head.
  ///   - base: b, above 1 (`rope_theta`).
  ///   - pairing: which channels form a pair.
  ///   - scaling: how frequencies are changed.
  ///   - divisors: one per turning pair, dividing θ before it is scaled (`rope_freqs.weight` in GGUF files); nil for none.
  /// - Throws: `PositionError` if a parameter is out of its range.
  public init(
    headDimension: Int, rotaryDimensions: Int? = nil, base: Double = 10_000,
    pairing: RotaryPairing, scaling: RotaryScaling = .none, divisors: [Double]? = nil
  ) throws(PositionError) {
    let rotaryDimensions = rotaryDimensions ?? headDimension
    try PositionError.check("head dimension", headDimension, in: 2...LayerShape.widest)
    try PositionError.check("rotary dimensions", rotaryDimensions, in: 2...headDimension)
    guard rotaryDimensions.isMultiple(of: 2) else {
      throw .outOfRange(
        parameter: "rotary dimensions", received: Double(rotaryDimensions), allowed: "even")
    }
    try PositionError.check("RoPE base", base, above: 1)
    if let divisors {
      try Self.check("RoPE divisors", divisors, pairCount: rotaryDimensions / 2)
    }
    let originalContext: Int
    switch scaling {
    case .none: originalContext = 0
    case .linear(let factor), .ntkAware(let factor):
      try PositionError.check("RoPE factor", factor, above: 0)
      originalContext = 0
    case .proportional(let factor):
      try PositionError.check("RoPE factor", factor, above: 0)
      guard headDimension.isMultiple(of: 2) else {
        throw .outOfRange(
          parameter: "head dimension", received: Double(headDimension),
          allowed: "even with proportional scaling")
      }
      originalContext = 0
    case .dynamicNTK(let factor, let context):
      try PositionError.check("RoPE factor", factor, above: 0)
      try PositionError.check("RoPE original context", context, in: 1...Int.max)
      originalContext = context
    case .yarn(let yarn):
      try yarn.check()
      originalContext = 0
    case .llama3(let bands):
      try bands.check()
      originalContext = 0
    case .longRoPE(let longRoPE):
      try longRoPE.check(pairCount: rotaryDimensions / 2)
      originalContext = longRoPE.originalContext
    }
    let embedding = Self(
      headDimension: headDimension, rotaryDimensions: rotaryDimensions, base: base,
      pairing: pairing, scaling: scaling, divisors: divisors, length: originalContext)
    // A fast pair of more than a thousand turns per token is a misread file, not a model.
    for frequency in embedding.frequencies where !(frequency < Self.frequencyLimit) {
      throw .outOfRange(
        parameter: "RoPE frequency", received: frequency,
        allowed: "< \(Self.frequencyLimit) radians per token")
    }
    self = embedding
  }

  private init(
    headDimension: Int, rotaryDimensions: Int, base: Double, pairing: RotaryPairing,
    scaling: RotaryScaling, divisors: [Double]?, length: Int
  ) {
    (self.headDimension, self.rotaryDimensions) = (headDimension, rotaryDimensions)
    (self.base, self.pairing) = (base, pairing)
    (self.scaling, self.divisors) = (scaling, divisors)
    frequencies = Self.frequencies(
      headDimension: headDimension, rotaryDimensions: rotaryDimensions, base: base,
      scaling: scaling, divisors: divisors, length: length)
    rates = frequencies.map { TurnRate(radiansPerToken: min($0, Self.frequencyLimit.nextDown)) }
    switch scaling {
    case .yarn(let yarn):
      (attentionFactor, softmaxScaleFactor) = (yarn.attentionFactor, yarn.softmaxScaleFactor)
    case .longRoPE(let longRoPE):
      (attentionFactor, softmaxScaleFactor) = (longRoPE.attentionFactor, 1)
    default: (attentionFactor, softmaxScaleFactor) = (1, 1)
    }
  }

  /// Pairs of channels, including those that stand still.
  public var pairCount: Int { frequencies.count }

  /// How the frequencies depend on the length of the sequence.
  public var lengthDependence: LengthDependence {
    switch scaling {
    case .dynamicNTK(let factor, let originalContext) where factor > 0:
      .moving(after: originalContext)
    case .longRoPE(let longRoPE) where longRoPE.shortDivisors != longRoPE.longDivisors:
      .stepped(after: longRoPE.originalContext)
    default: .fixed
    }
  }

  /// Whether the frequencies move with every token beyond some length.
  package var followsLength: Bool {
    if case .moving = lengthDependence { true } else { false }
  }

  /// The embedding of a sequence whose length is `length`: the last position + 1.
  ///
  /// - Precondition: the length is not negative.
  public func resolved(forLength length: Int) -> RotaryEmbedding {
    precondition(length >= 0, "length \(length)")
    if lengthDependence == .fixed { return self }
    return Self(
      headDimension: headDimension, rotaryDimensions: rotaryDimensions, base: base,
      pairing: pairing, scaling: scaling, divisors: divisors, length: length)
  }
}
