public import ModelFiles

/// What can be wrong with a vocabulary, a chat template or token ids.
public enum TokenizationError: Error, Equatable {
  /// The model's file lacks a key, or its value is of another type.
  case file(ModelFileError)
  /// The vocabulary is of another kind than byte-level BPE.
  case unsupportedModel(found: String, allowed: [String])
  /// Text would have to be cut by rules that this module does not know.
  case unsupportedPreTokenizer(found: String, allowed: [String])
  /// There are no tokens at all.
  case emptyVocabulary
  /// The list of types is not as long as the list of tokens.
  case wrongTypeCount(found: Int, wanted: Int)
  /// A token's type is not one of those that GGUF defines.
  case unknownTokenType(token: Int, found: Int, allowed: ClosedRange<Int>)
  /// More tokens, merges or bytes than the tables number.
  case tooMany(item: String, found: Int, limit: Int)
  /// A merge is not two tokens with a space between them.
  case malformedMerge(index: Int, found: String)
  /// A merge names, or yields, something that is no token of the vocabulary.
  case unknownMerge(index: Int, found: String, missing: String)
  /// A special token's number lies outside the vocabulary.
  case specialTokenOutOfRange(name: String, found: Int, count: Int)
  /// A token id lies outside the vocabulary.
  case tokenOutOfRange(found: Int, count: Int)
  /// The model has no chat template.
  case missingChatTemplate(allowed: String)
  /// The model's chat template is not one that can be rendered.
  case unsupportedChatTemplate(found: String, allowed: String)
  /// The chat template writes a control token that the vocabulary lacks.
  case missingControlToken(name: String)
}

extension TokenizationError: CustomStringConvertible {
  /// One line: what is wrong, and what would be right.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .unsupportedModel(let found, let allowed):
      "tokenizer \(quoted(found)) is not supported; supported: \(allowed.joined(separator: ", "))"
    case .unsupportedPreTokenizer(let found, let allowed):
      "pre-tokenizer \(quoted(found)) is not supported; supported: \(allowed.joined(separator: ", "))"
    case .emptyVocabulary: "the vocabulary has no tokens; at least one is needed"
    case .wrongTypeCount(let found, let wanted):
      "the vocabulary has \(wanted) tokens but \(found) token types; one type per token is needed"
    case .unknownTokenType(let token, let found, let allowed):
      "token \(token) has type \(found); types are \(allowed.lowerBound) to \(allowed.upperBound)"
    case .tooMany(let item, let found, let limit):
      "the vocabulary has \(found) \(item); at most \(limit) are supported"
    case .malformedMerge(let index, let found):
      "merge \(index) is \(quoted(found)); two tokens with a space between are needed"
    case .unknownMerge(let index, let found, let missing):
      "merge \(index), \(quoted(found)), needs \(quoted(missing)), which is no token"
    case .specialTokenOutOfRange(let name, let found, let count):
      "\(name) is \(found); the vocabulary has tokens 0 to \(count - 1)"
    case .tokenOutOfRange(let found, let count):
      "token id \(found) is outside the vocabulary of 0 to \(count - 1)"
    case .missingChatTemplate(let allowed):
      "the model has no chat template; supported: \(allowed)"
    case .missingControlToken(let name):
      "the chat template needs the control token \(name), which the vocabulary lacks"
    case .unsupportedChatTemplate(let found, let allowed):
      "the model's chat template (\(quoted(found))) is not supported; supported: \(allowed)"
    }
  }
}

/// `text` in quotation marks, in ASCII, cut at 60 scalars: metadata may hold anything of any length.
private func quoted(_ text: String) -> String {
  let scalars = text.unicodeScalars
  let kept = scalars.prefix(60).map { $0.escaped(asASCII: true) }.joined()
  return "\"" + kept + (scalars.count > 60 ? "…" : "") + "\""
}
