/// What integers do to a token whose key or value is stored in codes.
package struct ReferenceCodes: Sendable {
  /// How far the score may be off for a query of length 1 (times the scale of scores); 0 where the query meets it in f32.
  package var scoreUnit: Double
  /// How far the probability may be off, as a part of the largest one of its page; 0 where values are not in codes.
  package var weightUnit: Double
  /// Its page, counted from the oldest.
  package var page: Int

  package init(
    scoreUnit: Double, weightUnit: Double, page: Int
  ) {
    (self.scoreUnit, self.weightUnit, self.page) = (scoreUnit, weightUnit, page)
  }
}
