/// One line of results: a JSON object's members, of which those that are objects or arrays are left out.
package struct JSONLine: Sendable, Equatable {
  private var texts: [String: String] = [:]
  private var numbers: [String: Double] = [:]
  private var others: Set<String> = []

  /// Reads an object; nil for anything that is not one, alone on its line.
  package init?(_ line: some StringProtocol) {
    var reader = Reader(bytes: Array(line.utf8))
    guard let members = reader.object(depth: 0), reader.isAtEnd else { return nil }
    for (name, value) in members {
      switch value {
      case .text(let text): texts[name] = text
      case .number(let number): numbers[name] = number
      case .other: others.insert(name)
      case .null: break
      }
    }
  }

  package func text(_ name: String) -> String? { texts[name] }

  package func number(_ name: String) -> Double? { numbers[name] }

  /// Whether there is no such member, or it is null.
  package func lacks(_ name: String) -> Bool {
    texts[name] == nil && numbers[name] == nil && !others.contains(name)
  }

  /// A whole number that fits.
  package func integer(_ name: String) -> Int? { numbers[name].flatMap { Int(exactly: $0) } }

  private enum Value {
    case text(String)
    case number(Double)
    case other
    case null
  }

  /// RFC 8259, one value after the other; nil wherever the text is something else.
  private struct Reader {
    let bytes: [UInt8]
    var at = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func skipSpace() {
      while at < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[at]) { at += 1 }
    }

    var isAtEnd: Bool {
      mutating get {
        skipSpace()
        return at == bytes.count
      }
    }

    private mutating func takes(_ character: Unicode.Scalar) -> Bool {
      skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: character) else { return false }
      at += 1
      return true
    }

    mutating func object(depth: Int) -> [(String, Value)]? {
      guard depth < 16, takes("{") else { return nil }
      var members: [(String, Value)] = []
      if takes("}") { return members }
      repeat {
        skipSpace()
        guard let name = string(), takes(":"), let value = value(depth: depth) else { return nil }
        members.append((name, value))
      } while takes(",")
      return takes("}") ? members : nil
    }

    private mutating func array(depth: Int) -> Bool {
      guard depth < 16, takes("[") else { return false }
      if takes("]") { return true }
      repeat {
        guard value(depth: depth) != nil else { return false }
      } while takes(",")
      return takes("]")
    }

    private mutating func value(depth: Int) -> Value? {
      skipSpace()
      guard at < bytes.count else { return nil }
      switch bytes[at] {
      case UInt8(ascii: "\""): return string().map { .text($0) }
      case UInt8(ascii: "{"): return object(depth: depth + 1).map { _ in .other }
      case UInt8(ascii: "["): return array(depth: depth + 1) ? .other : nil
      default: return word()
      }
    }

    private mutating func word() -> Value? {
      let start = at
      while at < bytes.count, ![0x20, 0x09, 0x0a, 0x0d, 0x2c, 0x5d, 0x7d].contains(bytes[at]) {
        at += 1
      }
      let word = String(decoding: bytes[start..<at], as: UTF8.self)
      if word == "null" { return .null }
      if ["true", "false"].contains(word) { return .other }
      // Double takes more than JSON has: names, hexadecimal digits, a leading plus.
      guard word.utf8.allSatisfy({ "+-.0123456789eE".utf8.contains($0) }), !word.hasPrefix("+"),
        let number = Double(word), number.isFinite
      else { return nil }
      return .number(number)
    }

    private mutating func string() -> String? {
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { return nil }
      at += 1
      var units: [UInt16] = []
      var plain = at
      func text(_ end: Int) -> String { String(decoding: bytes[plain..<end], as: UTF8.self) }
      while at < bytes.count {
        switch bytes[at] {
        case UInt8(ascii: "\""):
          units += text(at).utf16
          at += 1
          return String(decoding: units, as: UTF16.self)
        case UInt8(ascii: "\\"):
          units += text(at).utf16
          at += 1
          guard let unit = escape() else { return nil }
          units.append(unit)
          plain = at
        case 0..<0x20: return nil
        default: at += 1
        }
      }
      return nil
    }

    private mutating func escape() -> UInt16? {
      guard at < bytes.count else { return nil }
      let character = bytes[at]
      at += 1
      switch Character(Unicode.Scalar(character)) {
      case "\"", "\\", "/": return UInt16(character)
      case "b": return 0x08
      case "f": return 0x0c
      case "n": return 0x0a
      case "r": return 0x0d
      case "t": return 0x09
      case "u":
        guard at + 4 <= bytes.count else { return nil }
        let digits = String(decoding: bytes[at..<at + 4], as: UTF8.self)
        at += 4
        return digits.allSatisfy(\.isHexDigit) ? UInt16(digits, radix: 16) : nil
      default: return nil
      }
    }
  }
}
