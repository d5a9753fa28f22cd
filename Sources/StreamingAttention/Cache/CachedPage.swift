/// A live page of a sequence in one of its page tables, for all layers and heads of the table together.
public struct CachedPage: Sendable, Equatable {
  /// Its live tokens, up to 64.
  public var tokens: Range<Int>
  /// The attention that it has had in all steps that noted it (``StepOptions/notesAttention``).
  public var mass: Double
  /// The attention that it had in the latest of them.
  public var latestMass: Double
  /// Whether it stays whatever a policy says: the newest page, and those with a pinned token or a sink.
  public var isProtected: Bool

  /// A page.
  public init(tokens: Range<Int>, mass: Double, latestMass: Double, isProtected: Bool) {
    self.tokens = tokens
    self.mass = mass
    self.latestMass = latestMass
    self.isProtected = isProtected
  }
}
