/// What a token is for, by its number in a GGUF file.
///
/// GGUF specification, `tokenizer.ggml.token_type`; 0 is what llama.cpp writes where it does not know.
public enum TokenType: Int, Sendable, CaseIterable {
  /// The file does not say; treated as normal.
  case undefined = 0
  /// A piece of text.
  case normal = 1
  /// What other tokenizers emit where they have no token.
  case unknown = 2
  /// A mark for the model, such as the start of a turn: no text.
  case control = 3
  /// A text that is always one token, found before anything else is cut.
  case userDefined = 4
  /// A place kept free.
  case unused = 5
  /// A single byte.
  case byte = 6

  /// Whether the token is a mark that only trusted text may spell.
  public var isSpecial: Bool { self == .control || self == .unknown }

  /// Whether the token stands for text; others do not show in an answer.
  public var hasText: Bool { !isSpecial && self != .unused }

  /// Whether text is encoded to such tokens by merging bytes.
  var isMergeable: Bool {
    switch self {
    case .undefined, .normal, .byte: true
    case .unknown, .control, .userDefined, .unused: false
    }
  }
}
