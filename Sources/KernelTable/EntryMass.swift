/// What a row's attention to one entry weighs: its softmax state without the output.
///
/// The row's probabilities over the entry sum to `sum`·2^(`maximum` − m) ÷ ℓ, with m and ℓ of the whole row.
package struct EntryMass: Sendable, Equatable, BitwiseCopyable {
  /// What scores are relative to, in units of log2: the row's m after the entry, the largest score so far or up to 8 less; −∞
  /// where the row has seen nothing so far.
  package var maximum: Float
  /// Σ 2^(score − maximum) over the slots of the entry; 0 where the row sees none of them.
  package var sum: Float

  package init(maximum: Float, sum: Float) {
    self.maximum = maximum
    self.sum = sum
  }

  package static var none: EntryMass { EntryMass(maximum: -.infinity, sum: 0) }
}
