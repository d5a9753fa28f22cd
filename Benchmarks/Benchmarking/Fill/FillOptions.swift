/// How a synthetic cache is made.
package struct FillOptions: Sendable, Equatable {
  /// Whether some keys are planted whose answer is known.
  package enum Needles: Sendable {
    case planted
    /// Unit variance everywhere: nothing stands out, as page norms see it.
    case none
  }

  /// Equal seeds give equal bits.
  package var seed: UInt64
  package var needles: Needles
  /// Slots after which the anchor of rotary keys changes, a multiple of 64; nil where it never does.
  ///
  /// Every change leaves a gap of one position, as moving the later entries by one would.
  package var anchorRun: Int?
  /// How rotary keys are stored.
  package var rotation: FilledRotation
  /// The steepest ALiBi slope of any engine that will read the pages; that of the fill's own engine if nil.
  ///
  /// Rows of a prefill need a needle that the slope does not hide from them.
  package var steepestSlope: Double?

  package init(
    seed: UInt64 = 1, needles: Needles = .planted, anchorRun: Int? = nil,
    rotation: FilledRotation = .stored, steepestSlope: Double? = nil
  ) {
    self.seed = seed
    self.needles = needles
    self.anchorRun = anchorRun
    self.rotation = rotation
    self.steepestSlope = steepestSlope
  }
}
