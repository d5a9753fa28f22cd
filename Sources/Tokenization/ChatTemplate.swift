/// A conversation as the tokens on which a ChatML model was trained.
///
/// `tokenizer.chat_template` of SmolLM2's GGUF file: each message is `<|im_start|>role⏎text<|im_end|>⏎`, and one
/// that does not start with a system message gets the template's own. The marks are the control tokens; messages
/// are text, so one that spells a mark cannot end its turn, unlike where rendered text is encoded as a whole.
///
/// A conversation on one cache reads `opening(system:)`, then for each turn `userTurn(_:)`, the answer and
/// `endOfTurn`: together these are the tokens of `prompt(for:)`, and no turn reads an earlier one again.
public struct ChatTemplate: Sendable {
  private let tokenizer: Tokenizer
  private let start: Int
  /// The token that ends a message.
  public let endToken: Int
  /// What the system says where a conversation does not; nil where the template has nothing of its own.
  public let defaultSystem: String?

  /// The template of a tokenizer's model; throws where it has none, or one of another shape.
  public init(_ tokenizer: Tokenizer) throws(TokenizationError) {
    guard let source = tokenizer.chatTemplate else {
      throw .missingChatTemplate(allowed: ChatMLSource.supported)
    }
    defaultSystem = try ChatMLSource(source).defaultSystem
    guard let start = tokenizer.controlToken(named: ChatMLSource.start) else {
      throw .missingControlToken(name: ChatMLSource.start)
    }
    guard let end = tokenizer.controlToken(named: ChatMLSource.end) else {
      throw .missingControlToken(name: ChatMLSource.end)
    }
    (self.tokenizer, self.start, endToken) = (tokenizer, start, end)
  }

  /// The tokens in front of the first turn: the system's message, or the template's own where `system` is nil.
  ///
  /// Empty where both are nil. No begin token is added: the template writes none.
  public func opening(system: String? = nil) -> [Int] {
    (system ?? defaultSystem).map { tokens(of: ChatMessage(.system, $0)) } ?? []
  }

  /// The tokens of what a user says and of the mark behind which the model answers.
  public func userTurn(_ text: String) -> [Int] {
    tokens(of: ChatMessage(.user, text)) + answerMark
  }

  /// The tokens between an answer and the next turn: the token that ends it, and a line end.
  ///
  /// Leave out the first where the cache already holds it behind the answer.
  public var endOfTurn: [Int] { [endToken] + tokenizer.encode("\n", specialTokens: .asText) }

  /// The tokens of a whole conversation, with the mark behind which the model answers.
  public func prompt(for messages: [ChatMessage]) -> [Int] {
    var tokens = messages.first.map { $0.role == .system ? [] : opening() } ?? []
    for message in messages { tokens += self.tokens(of: message) }
    return tokens + answerMark
  }

  /// The text that the model's own template makes of a conversation, marks by name.
  public func text(for messages: [ChatMessage], asksForAnswer: Bool = true) -> String {
    var all = messages
    if let first = messages.first, first.role != .system, let defaultSystem {
      all.insert(ChatMessage(.system, defaultSystem), at: 0)
    }
    let (start, end) = (ChatMLSource.start, ChatMLSource.end)
    return all.map { "\(start)\($0.role.rawValue)\n\($0.text)\(end)\n" }.joined()
      + (asksForAnswer ? "\(start)\(ChatMessage.Role.assistant.rawValue)\n" : "")
  }

  private var answerMark: [Int] { head(of: ChatMessage(.assistant, "")) }

  private func tokens(of message: ChatMessage) -> [Int] { head(of: message) + endOfTurn }

  /// Role and text are one stretch: line ends at the text's beginning join the one behind the role.
  private func head(of message: ChatMessage) -> [Int] {
    [start]
      + tokenizer.encode("\(message.role.rawValue)\n\(message.text)", specialTokens: .asText)
  }
}
