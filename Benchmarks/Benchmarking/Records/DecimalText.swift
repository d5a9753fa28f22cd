/// Numbers for people.
package enum DecimalText {
  /// A number with a fixed number of decimals; a dash where it is not finite or too large for a column.
  package static func fixed(_ value: Double, _ digits: Int) -> String {
    var unit = 1.0
    for _ in 0..<digits { unit *= 10 }
    let scaled = (value.magnitude * unit).rounded()
    guard scaled.isFinite, scaled < 1e15 else { return "–" }
    let (whole, rest) = Int(scaled).quotientAndRemainder(dividingBy: Int(unit))
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(whole)" }
    let fraction = String(rest)
    return "\(sign)\(whole)." + String(repeating: "0", count: digits - fraction.count) + fraction
  }

  /// About four digits.
  package static func short(_ value: Double) -> String {
    switch value.magnitude {
    case 1000...: fixed(value, 0)
    case 100...: fixed(value, 1)
    case 1...: fixed(value, 2)
    default: fixed(value, 4)
    }
  }

  /// One digit and a power of ten: `3e-06`.
  package static func scientific(_ value: Double) -> String {
    guard value.isFinite else { return "–" }
    guard value != 0 else { return "0" }
    var (mantissa, exponent) = (value.magnitude, 0)
    while mantissa >= 9.95 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    while mantissa < 0.995 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    return "\(value < 0 ? "-" : "")\(fixed(mantissa, 1))e\(exponent)"
  }

  /// `text` in a column, on the right side.
  package static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(width - text.count, 0)) + text
  }

  /// `text` in a column, on the left side.
  package static func left(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(width - text.count, 0))
  }
}
