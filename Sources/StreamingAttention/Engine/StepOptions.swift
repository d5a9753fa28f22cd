/// What a step does beside appending and attending; nothing costs anything unless it is asked for.
public struct StepOptions: Sendable, Equatable {
  /// Whether the step notes how much attention its rows pay to each page, for ``EvictionPolicy``.
  ///
  /// Rows × pages × 8 bytes are taken while a layer runs, and forks are not read together. The outputs have the same bits.
  public var notesAttention = false

  /// Nothing.
  public init() {}

  /// A step that notes how much attention each page gets.
  public static var notingAttention: StepOptions {
    var options = StepOptions()
    options.notesAttention = true
    return options
  }
}

/// How much attention a page has had in a step: probabilities of the page's tokens, summed over rows, query heads and layers.
public struct PageAttention: Sendable, Equatable {
  /// The page's tokens that are live.
  public var tokens: Range<Int>
  /// 1 for each row, query head and layer whose whole attention went there.
  public var mass: Double

  /// The attention that tokens have had.
  public init(tokens: Range<Int>, mass: Double) {
    self.tokens = tokens
    self.mass = mass
  }
}
