/// How far some rows of an output are from Double over the keys and values as stored.
package struct RelativeError: Sendable, Equatable {
  /// The largest difference; infinite if a number was NaN.
  package private(set) var maximum = 0.0
  /// Pairs of a row and a query head.
  package private(set) var rowCount = 0
  /// Σ (output − reference)² and Σ reference².
  private var differences = 0.0
  private var squares = 0.0

  /// Nothing compared yet: no error.
  package init() {}

  /// ‖output − reference‖ ÷ ‖reference‖ over all the rows together; infinite if a number was NaN.
  package var l2: Double { differences == 0 ? 0 : (differences / squares).squareRoot() }

  /// The length of a row of the reference, in the quadratic mean.
  package var rowLength: Double { rowCount == 0 ? 0 : (squares / Double(rowCount)).squareRoot() }

  /// Adds a pair of a row and a query head, which begins at `first` in the output.
  mutating func add(_ output: Span<Float>, at first: Int, expected: [Double]) {
    for channel in expected.indices {
      var difference = (Double(output[first + channel]) - expected[channel]).magnitude
      if difference.isNaN { difference = .infinity }
      squares += expected[channel] * expected[channel]
      differences += difference * difference
      maximum = max(maximum, difference)
    }
    rowCount += 1
  }

  /// Adds the rows of another.
  package mutating func merge(_ other: RelativeError) {
    maximum = max(maximum, other.maximum)
    rowCount += other.rowCount
    differences += other.differences
    squares += other.squares
  }
}
