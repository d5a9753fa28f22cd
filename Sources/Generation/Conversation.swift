public import Tokenization

/// A conversation by a model's chat template on one session.
///
/// A turn reads its own tokens only: what was said before is in the cache. On a session that has been restored the conversation
/// goes on where it was.
public actor Conversation {
  /// The session that holds the conversation.
  public nonisolated let session: Session
  private let template: ChatTemplate
  private let system: String?

  /// A conversation on a fresh or a restored session, with the template's own system message if `system` is nil.
  ///
  /// - Throws: `TokenizationError` where the model has no template that is known.
  public init(_ session: Session, system: String? = nil) throws(TokenizationError) {
    self.session = session
    self.system = system
    template = try ChatTemplate(session.tokenizer)
  }

  /// Says something and begins the answer.
  ///
  /// - Parameters:
  ///   - text: What the user says.
  ///   - maximumTokens: Tokens of the answer at most, none where this is not above 0.
  /// - Returns: The answer's tokens.
  /// - Throws: ``GenerationError``, with the conversation as it was.
  public func reply(
    to text: String, maximumTokens: Int
  ) throws(GenerationError) -> TokenStream {
    let (template, system) = (template, system)
    // On the session's own queue: nobody can come between looking at its tokens and going on.
    let result: Result<TokenStream, GenerationError> = session.assumeIsolated { session in
      let hasBegun = !session.tokens.isEmpty
      var tokens = hasBegun ? template.endOfTurn : template.opening(system: system)
      // An answer that came to its end has its end token in line already.
      if hasBegun, session.tokens.last == template.endToken { tokens.removeFirst() }
      do throws(GenerationError) {
        let stream = try session.generate(
          tokens + template.userTurn(text), maximumTokens: maximumTokens)
        session.isConversation = true
        return .success(stream)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// The session's queue, so that both see the same turns.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe session.unownedExecutor }
}
