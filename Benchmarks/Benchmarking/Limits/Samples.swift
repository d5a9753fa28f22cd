/// Times of the same work, done again and again.
package struct Samples: Sendable, Equatable {
  /// In nanoseconds, as they came.
  package private(set) var nanoseconds: [UInt64] = []

  package init() {}

  package init(nanoseconds: [UInt64]) { self.nanoseconds = nanoseconds }

  package mutating func add(_ time: UInt64) { nanoseconds.append(time) }

  package var count: Int { nanoseconds.count }

  /// The shortest time in milliseconds; NaN without any.
  package var minimumMilliseconds: Double { quantile(0) }

  /// The middle time, or the mean of the two in the middle.
  package var medianMilliseconds: Double {
    let sorted = nanoseconds.sorted()
    guard !sorted.isEmpty else { return .nan }
    let (low, high) = (sorted[(sorted.count - 1) / 2], sorted[sorted.count / 2])
    return (Double(low) + Double(high)) / 2e6
  }

  /// The shortest time that is not exceeded by 95 of a hundred.
  package var p95Milliseconds: Double { quantile(0.95) }

  /// The shortest time that is not exceeded by 99 of a hundred.
  package var p99Milliseconds: Double { quantile(0.99) }

  /// The longest time in milliseconds; NaN without any.
  package var maximumMilliseconds: Double { quantile(1) }

  /// The sum of all in milliseconds.
  package var totalMilliseconds: Double { nanoseconds.reduce(0) { $0 + Double($1) } / 1e6 }

  /// The smallest sample such that at least `part` of all are no larger, in milliseconds.
  private func quantile(_ part: Double) -> Double {
    let sorted = nanoseconds.sorted()
    guard !sorted.isEmpty else { return .nan }
    let rank = Int((part * Double(sorted.count)).rounded(.up))
    return Double(sorted[max(rank - 1, 0)]) / 1e6
  }
}
