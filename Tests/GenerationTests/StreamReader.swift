import Generation
import Synchronization
import Testing

/// Reads a stream in a task of its own, stops it when it is time, and keeps what has come.
final class StreamReader: Sendable {
  /// How a stream is stopped.
  enum Way: CaseIterable {
    case task, session
  }

  private let state = Mutex((tokens: [GeneratedToken](), promptTokens: 0))

  var tokens: [GeneratedToken] { state.withLock(\.tokens) }
  var promptTokens: Int { state.withLock(\.promptTokens) }
  func note(promptTokens: Int) { state.withLock { $0.promptTokens = promptTokens } }

  /// How long it took from the wish to stop to the stream's error.
  @discardableResult
  func read(
    _ stream: TokenStream, of session: Session, stopBy way: Way,
    when isTime: @escaping @Sendable (StreamReader) -> Bool
  ) async throws -> Duration {
    try await withThrowingTaskGroup(of: ContinuousClock.Instant.self) { group in
      group.addTask {
        await #expect(throws: GenerationError.cancelled) {
          for try await token in stream { self.state.withLock { $0.tokens.append(token) } }
        }
        return .now
      }
      while !isTime(self) { try await Task.sleep(for: .milliseconds(1)) }
      let asked = ContinuousClock.now
      switch way {
      case .task: group.cancelAll()
      case .session: session.cancel()
      }
      return (try await group.next() ?? .now) - asked
    }
  }
}
