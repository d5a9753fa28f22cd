/// A run's output beside its known answer.
package struct SelfCheck: Sendable, Equatable {
  /// Whether something was compared and every number was within its tolerance.
  package var passed: Bool { rowCount > 0 && worstRatio <= 1 }
  /// The largest difference; infinite where a number was NaN.
  package private(set) var maximumError = 0.0
  /// The tolerance of the number that came closest to its own, or went furthest beyond it.
  package private(set) var tolerance = 0.0
  /// Pairs of a row and a query head that were compared.
  package private(set) var rowCount = 0
  /// Largest error ÷ tolerance.
  package private(set) var worstRatio = 0.0

  /// Nothing compared yet: not passed.
  package init() {}

  /// Some pairs of row and head, by the number that came closest to its tolerance; NaN counts as infinite.
  init(maximumError: Double, tolerance: Double, ratio: Double, rows: Int = 1) {
    self.maximumError = maximumError.isNaN ? .infinity : maximumError
    self.tolerance = tolerance
    worstRatio = ratio.isNaN ? .infinity : ratio
    rowCount = rows
  }

  /// Adds what another check found.
  package mutating func merge(_ other: SelfCheck) {
    guard other.rowCount > 0 else { return }
    if rowCount == 0 || other.worstRatio > worstRatio { tolerance = other.tolerance }
    worstRatio = max(worstRatio, other.worstRatio)
    maximumError = max(maximumError, other.maximumError)
    rowCount += other.rowCount
  }
}
