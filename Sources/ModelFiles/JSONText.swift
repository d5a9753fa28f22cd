/// Writes JSON text; numbers that JSON lacks (NaN, infinities) become null.
package enum JSONText {
  /// A quoted string.
  package static func string(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// The shortest text that reads back as the same number.
  package static func number(_ value: Double) -> String { value.isFinite ? "\(value)" : "null" }

  /// The shortest text that reads back as the same number.
  package static func number(_ value: Float) -> String { value.isFinite ? "\(value)" : "null" }

  /// An array of texts that are JSON already.
  package static func array(_ elements: some Sequence<String>) -> String {
    "[" + elements.joined(separator: ",") + "]"
  }

  /// An object of values that are JSON already, in this order.
  package static func object(_ members: [(String, String)]) -> String {
    "{" + members.map { "\(string($0.0)):\($0.1)" }.joined(separator: ",") + "}"
  }
}
