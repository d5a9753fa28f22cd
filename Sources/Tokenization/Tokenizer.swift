/// Text to token ids and back: byte-level BPE.
///
/// Its tables are immutable, so one tokenizer serves any number of threads. Results are those of llama.cpp; the
/// Hugging Face tokenizers differ where a model's own file asks for Unicode normalization, see `PreTokenizer`.
public struct Tokenizer: Sendable {
  /// What encoding looks up.
  struct Tables: Sendable {
    var tokens: TokenTable
    var merges: MergeTable
    /// The token of each single byte; −1 where the vocabulary has none.
    var byteTokens: [Int32]
  }

  /// What to make of a text that spells a control token, such as "<|im_end|>".
  public enum SpecialTokens: Sendable {
    /// It is the token: for templates and prompts whose author is trusted.
    case parsed
    /// It is characters like any others: for what a user wrote.
    case asText
  }

  /// Names of control tokens that end an answer in the models that have them.
  ///
  /// llama.cpp, `llama-vocab.cpp`, end-of-generation tokens.
  static let endTokenNames = [
    "<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|end|>",
    "<end_of_turn>", "<EOT>",
  ]

  let tables: Tables
  let types: [TokenType]
  let preTokenizer: PreTokenizer
  let userLiterals: LiteralTable
  let allLiterals: LiteralTable
  private let controlTokens: [String: Int]

  /// The token that `encode` puts in front of a text that starts a sequence; nil where the model wants none.
  public let beginOfSequence: Int?
  /// The tokens at which an answer ends, in ascending order.
  public let endTokens: [Int]
  /// The Jinja source of the model's chat template, if its file has one.
  public let chatTemplate: String?

  /// Checks a vocabulary and builds the tables.
  ///
  /// Duplicate tokens: text is encoded to the last of them, all of them decode. Duplicate merges: the first one
  /// counts. An empty token is never encoded to.
  public init(_ vocabulary: Vocabulary) throws(TokenizationError) {
    let count = vocabulary.tokens.count
    guard count > 0 else { throw .emptyVocabulary }
    guard count <= Int(Int32.max) / 4 else {
      throw .tooMany(item: "tokens", found: count, limit: Int(Int32.max) / 4)
    }
    guard vocabulary.types.count == count else {
      throw .wrongTypeCount(found: vocabulary.types.count, wanted: count)
    }
    types = vocabulary.types
    preTokenizer = vocabulary.preTokenizer
    chatTemplate = vocabulary.chatTemplate

    var tokens = TokenTable(capacity: count)
    var (userLiterals, controls) = (LiteralTable(), [String: Int]())
    for (token, text) in vocabulary.tokens.enumerated() {
      tokens.append(text, isEncoded: types[token].isMergeable)
      if types[token] == .userDefined { userLiterals.insert(text.utf8, token: token) }
      if types[token].isSpecial { controls[text] = token }
    }
    var allLiterals = userLiterals
    for (text, token) in controls { allLiterals.insert(text.utf8, token: token) }
    (self.userLiterals, self.allLiterals, controlTokens) = (userLiterals, allLiterals, controls)

    let byteTokens = (UInt8.min...UInt8.max).map { tokens.token(of: [$0].span) ?? -1 }
    let merges = try MergeTable(vocabulary.merges, tokens: tokens)
    tables = Tables(tokens: tokens, merges: merges, byteTokens: byteTokens)

    let begin = try vocabulary.beginOfSequence.map { token throws(TokenizationError) in
      try Self.checked(token, "the begin token", count)
    }
    beginOfSequence = vocabulary.addsBeginOfSequence ? begin : nil
    var ends = Set(Self.endTokenNames.compactMap { controls[$0] })
    for token in vocabulary.endTokens {
      ends.insert(try Self.checked(token, "an end token", count))
    }
    endTokens = ends.sorted()
  }

  private static func checked(
    _ token: Int, _ name: String, _ count: Int
  ) throws(TokenizationError) -> Int {
    guard token >= 0, token < count else {
      throw .specialTokenOutOfRange(name: name, found: token, count: count)
    }
    return token
  }

  /// The number of tokens.
  public var count: Int { types.count }

  /// The control token of this name, such as "<|im_start|>"; nil where there is none.
  public func controlToken(named name: String) -> Int? { controlTokens[name] }

  /// Whether an answer ends at this token.
  public func isEnd(_ token: Int) -> Bool { endTokens.contains(token) }
}
