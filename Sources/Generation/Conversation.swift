public import Tokenization

/// A conversation by a model's chat template on one session.
///
/// A turn reads its own tokens only: what was said before is in the cache.
public actor Conversation {
  /// The session that holds the conversation.
  public nonisolated let session: Session
  private let template: ChatTemplate
  private let system: String?
  private var hasBegun = false

  /// A conversation on a fresh session, with the template's own system message if `system` is nil.
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
  ///   - maximumTokens: Tokens of the answer at most.
  /// - Returns: The answer's tokens.
  /// - Throws: ``GenerationError``, with the conversation as it was.
  public func reply(
    to text: String, maximumTokens: Int
  ) throws(GenerationError) -> TokenStream {
    var tokens = hasBegun ? template.endOfTurn : template.opening(system: system)
    let (hasBegun, template) = (hasBegun, template)
    // On the session's own queue: nobody can come between looking at its tokens and going on.
    let result: Result<TokenStream, GenerationError> = session.assumeIsolated { session in
      // An answer that came to its end has its end token in line already.
      if hasBegun, session.tokens.last == template.endToken { tokens.removeFirst() }
      do throws(GenerationError) {
        return .success(
          try session.generate(tokens + template.userTurn(text), maximumTokens: maximumTokens))
      } catch {
        return .failure(error)
      }
    }
    let stream = try result.get()
    self.hasBegun = true
    return stream
  }

  /// The session's queue, so that both see the same turns.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe session.unownedExecutor }
}
