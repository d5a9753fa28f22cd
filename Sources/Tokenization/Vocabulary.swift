/// A byte-level BPE vocabulary as a model file states it; nothing in it has been checked.
///
/// `Tokenizer` checks it and builds its tables from it.
public struct Vocabulary: Sendable, Equatable {
  /// The text of each token by its id: bytes as characters of GPT-2's alphabet, marks and user's tokens as they are.
  public var tokens: [String]
  /// The type of each token.
  public var types: [TokenType]
  /// Two tokens with a space between each, the ones to merge first in front.
  public var merges: [String]
  /// How text is cut before bytes are merged.
  public var preTokenizer: PreTokenizer
  /// The token that starts a text, if there is one.
  public var beginOfSequence: Int?
  /// The tokens that end an answer, beside those that `Tokenizer` knows by name.
  public var endTokens: [Int]
  /// Whether a text starts with `beginOfSequence`.
  public var addsBeginOfSequence: Bool
  /// The Jinja source of the chat template, if the file has one.
  public var chatTemplate: String?

  /// A vocabulary whose tokens are all normal unless `types` says otherwise.
  public init(
    tokens: [String], types: [TokenType]? = nil, merges: [String], preTokenizer: PreTokenizer,
    beginOfSequence: Int? = nil, endTokens: [Int] = [], addsBeginOfSequence: Bool = false,
    chatTemplate: String? = nil
  ) {
    self.tokens = tokens
    self.types = types ?? Array(repeating: .normal, count: tokens.count)
    self.merges = merges
    self.preTokenizer = preTokenizer
    self.beginOfSequence = beginOfSequence
    self.endTokens = endTokens
    self.addsBeginOfSequence = addsBeginOfSequence
    self.chatTemplate = chatTemplate
  }
}
