/// How far some rows of an output are from Double over the keys and values as stored.
package struct RelativeError: Sendable, Equatable {
  /// ‖output − reference‖ ÷ ‖reference‖ over all the rows together; infinite if a number was NaN.
  package var l2: Double
  /// The largest difference.
  package var maximum: Double
  /// Pairs of a row and a query head.
  package var rowCount: Int
}
