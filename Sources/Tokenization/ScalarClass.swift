/// The classes of characters that pre-tokenizer rules tell apart.
enum ScalarClass: UInt8 {
  /// `\p{L}`.
  case letter
  /// `\p{N}`.
  case number
  /// U+0020.
  case space
  /// `[\r\n]`.
  case newline
  /// `\s` that is none of these.
  case otherWhitespace
  /// An apostrophe, U+0027.
  case apostrophe
  /// Everything else, bytes that are not UTF-8 included.
  case other

  var isWhitespace: Bool { self == .space || self == .newline || self == .otherWhitespace }

  /// `[^\s\p{L}\p{N}]`.
  var isSymbol: Bool { self == .other || self == .apostrophe }

  init(_ scalar: Unicode.Scalar) {
    switch scalar {
    case "a"..."z", "A"..."Z": self = .letter
    case "0"..."9": self = .number
    case " ": self = .space
    case "\r", "\n": self = .newline
    case "'": self = .apostrophe
    default:
      switch scalar.properties.generalCategory {
      case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
        self = .letter
      case .decimalNumber, .letterNumber, .otherNumber: self = .number
      default: self = scalar.properties.isWhitespace ? .otherWhitespace : .other
      }
    }
  }
}
