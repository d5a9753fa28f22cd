/// Why positions cannot be encoded as asked.
public enum PositionError: Error, Equatable {
  /// A parameter outside of what its formula allows.
  case outOfRange(parameter: String, received: Double, allowed: String)
  /// A list that must hold one value for each of something.
  case wrongCount(list: String, received: Int, allowed: Int)
  /// A learned table has no row for this position.
  case beyondTable(position: Int, rows: Int)
}

extension PositionError: CustomStringConvertible {
  /// One line: what is wrong and what to change.
  public var description: String {
    switch self {
    case .outOfRange(let parameter, let received, let allowed):
      "\(parameter) is \(received), allowed is \(allowed)"
    case .wrongCount(let list, let received, let allowed):
      "\(list) holds \(received) values, \(allowed) are needed"
    case .beyondTable(let position, let rows):
      "position \(position) has no row in the learned table, which has \(rows) "
        + "(positions 0..<\(rows)); use a shorter text"
    }
  }
}

extension PositionError {
  /// Throws unless `value` is finite and lies in `range`.
  static func check(
    _ parameter: String, _ value: Double, in range: PartialRangeFrom<Double>
  ) throws(PositionError) {
    guard value.isFinite, range.contains(value) else {
      throw .outOfRange(
        parameter: parameter, received: value, allowed: "a finite number ≥ \(range.lowerBound)")
    }
  }

  /// Throws unless `value` is finite and above `bound`.
  static func check(
    _ parameter: String, _ value: Double, above bound: Double
  ) throws(PositionError) {
    guard value.isFinite, value > bound else {
      throw .outOfRange(
        parameter: parameter, received: value, allowed: "a finite number > \(bound)")
    }
  }

  /// Throws unless `value` lies in `range`.
  static func check(
    _ parameter: String, _ value: Int, in range: ClosedRange<Int>
  ) throws(PositionError) {
    guard range.contains(value) else {
      throw .outOfRange(
        parameter: parameter, received: Double(value),
        allowed: range.upperBound == .max
          ? "≥ \(range.lowerBound)" : "\(range.lowerBound)…\(range.upperBound)")
    }
  }
}
