public import StreamingAttention

/// What a stream has read, written and taken.
public struct GenerationFigures: Sendable, Equatable {
  /// Tokens read before the first one was chosen.
  public internal(set) var promptTokens = 0
  /// Tokens chosen, an end token included.
  public internal(set) var answerTokens = 0
  /// Time for reading the prompt.
  public internal(set) var promptTime = Duration.zero
  /// Time for the tokens after the first.
  public internal(set) var answerTime = Duration.zero
  /// From the call to the first token.
  public internal(set) var timeToFirstToken = Duration.zero
  /// The most page memory that the session's cache has taken, in bytes.
  public internal(set) var peakCacheBytes = 0
  /// What attention read in all steps and layers, and what ALiBi heads left out.
  public internal(set) var attention = AttentionReport()

  /// Prompt tokens read per second.
  public var promptRate: Double { Self.rate(promptTokens, promptTime) }
  /// Tokens per second after the first.
  public var answerRate: Double { Self.rate(answerTokens - 1, answerTime) }

  private static func rate(_ count: Int, _ time: Duration) -> Double {
    count > 0 && time > .zero ? Double(count) / (time / .seconds(1)) : 0
  }
}
