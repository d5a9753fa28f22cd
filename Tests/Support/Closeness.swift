extension BinaryFloatingPoint {
  /// Whether two numbers differ by at most `ulps` units in the last place of the larger one.
  ///
  /// NaN is close to nothing; an infinity only to itself.
  package func isClose(to other: Self, ulps: Int) -> Bool {
    if self == other { return true }
    guard self.isFinite, other.isFinite else { return false }
    return (self - other).magnitude <= Self(ulps) * Self.maximum(magnitude, other.magnitude).ulp
  }
}

/// How far an array lies from its reference; NaN and infinite differences come out as such, never as 0.
package struct Distance: Sendable, Equatable {
  /// The largest |a − b|; NaN if any difference is NaN.
  package private(set) var maximum = 0.0
  /// Where the largest difference is.
  package private(set) var index = 0
  /// ‖a − b‖₂ ÷ ‖b‖₂, b the reference: 0 when both are zero.
  package private(set) var relativeL2 = 0.0
  /// The mean of |a − b|.
  package private(set) var mean = 0.0

  /// - Precondition: both arrays have the same count.
  package init<A: BinaryFloatingPoint, B: BinaryFloatingPoint>(of values: [A], to reference: [B]) {
    precondition(values.count == reference.count, "\(values.count) values for \(reference.count)")
    var (squares, norm) = (0.0, 0.0)
    for index in values.indices {
      let difference = (Double(values[index]) - Double(reference[index])).magnitude
      squares += difference * difference
      norm += Double(reference[index]) * Double(reference[index])
      mean += difference
      if difference > maximum || difference.isNaN && !maximum.isNaN {
        (maximum, self.index) = (difference, index)
      }
    }
    mean /= Double(max(1, values.count))
    relativeL2 = squares == 0 ? 0 : (squares / norm).squareRoot()
  }
}
