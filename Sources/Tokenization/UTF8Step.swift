/// What stands at one place of a run of bytes that should be UTF-8.
///
/// The Unicode Standard 17.0, table 3-7 (well-formed sequences) and section 3.9, "U+FFFD Substitution of Maximal
/// Subparts": an ill-formed run is as long as the longest beginning of a well-formed one, and at least one byte.
package enum UTF8Step: Equatable, Sendable {
  /// A character and the number of its bytes.
  case scalar(Unicode.Scalar, byteCount: Int)
  /// Bytes that belong to no character.
  case invalid(byteCount: Int)
  /// All remaining bytes are the beginning of a character.
  case incomplete(byteCount: Int)

  /// Looks at the bytes from `position` on.
  ///
  /// - Precondition: `position` lies within `bytes`.
  package init(_ bytes: Span<UInt8>, at position: Int) {
    let first = bytes[position]
    if first < 0x80 {
      self = .scalar(Unicode.Scalar(first), byteCount: 1)
      return
    }
    let byteCount: Int
    var allowed: ClosedRange<UInt8> = 0x80...0xBF
    switch first {
    case 0xC2...0xDF: byteCount = 2
    case 0xE0: (byteCount, allowed) = (3, 0xA0...0xBF)
    case 0xED: (byteCount, allowed) = (3, 0x80...0x9F)
    case 0xE1...0xEF: byteCount = 3
    case 0xF0: (byteCount, allowed) = (4, 0x90...0xBF)
    case 0xF1...0xF3: byteCount = 4
    case 0xF4: (byteCount, allowed) = (4, 0x80...0x8F)
    default:
      self = .invalid(byteCount: 1)
      return
    }
    var value = UInt32(first) & (0x7F >> UInt32(byteCount))
    for index in 1..<byteCount {
      guard position + index < bytes.count else {
        self = .incomplete(byteCount: index)
        return
      }
      let byte = bytes[position + index]
      guard allowed.contains(byte) else {
        self = .invalid(byteCount: index)
        return
      }
      value = value << 6 | UInt32(byte & 0x3F)
      allowed = 0x80...0xBF
    }
    self = Unicode.Scalar(value).map { .scalar($0, byteCount: byteCount) } ?? .invalid(byteCount: 1)
  }
}
