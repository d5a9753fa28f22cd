internal import StreamingAttention

/// A token of an answer.
public struct GeneratedToken: Sendable, Equatable {
  /// The token's id.
  public let id: Int
  /// The characters that are whole with this token: empty inside a character and for an end token.
  public let text: String
  /// Whether it is an end token: the model's own last word.
  public let isEnd: Bool
}

/// The tokens of an answer, each computed when it is asked for.
///
/// For one task at a time. When that is cancelled, the stream throws ``GenerationError/cancelled`` within a fraction of a
/// second, and from then on: see ``Session/cancel()`` for how to go on. No other stream is touched.
public struct TokenStream: AsyncSequence, Sendable {
  /// A token of the answer.
  public typealias Element = GeneratedToken
  /// What a stream throws.
  public typealias Failure = GenerationError

  let session: Session
  let cancellation: CancellationFlag

  /// Asks the session for one token after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let session: Session
    let cancellation: CancellationFlag

    /// The next token; nil at the end.
    public mutating func next() async throws(GenerationError) -> GeneratedToken? {
      try await next(isolation: nil)
    }

    /// The next token; nil at the end.
    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(GenerationError) -> GeneratedToken? {
      let (session, cancellation) = (session, cancellation)
      let result = await withTaskCancellationHandler {
        await session.result(of: cancellation)
      } onCancel: {
        cancellation.cancel()
      }
      return try result.get()
    }
  }

  /// An iterator that goes on where the stream stands.
  public func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(session: session, cancellation: cancellation)
  }
}

extension Session {
  /// `next(of:)` for callers that cannot pass typed errors on.
  func result(of cancellation: CancellationFlag) -> Result<GeneratedToken?, GenerationError> {
    do throws(GenerationError) { return .success(try next(of: cancellation)) } catch {
      return .failure(error)
    }
  }
}
