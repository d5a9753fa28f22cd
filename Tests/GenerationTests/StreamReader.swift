import Foundation
import Generation
import Synchronization
import Testing

/// Reads a stream in a task of its own, stops it when it is time, and keeps what has come.
final class StreamReader: Sendable {
  /// How a stream is stopped.
  enum Way: CaseIterable {
    case task, session
  }

  private struct State {
    var tokens: [GeneratedToken] = []
    var promptTokens = 0
    var isOver = false
  }
  private let state = Mutex(State())

  var tokens: [GeneratedToken] { state.withLock(\.tokens) }
  var promptTokens: Int { state.withLock(\.promptTokens) }
  func note(promptTokens: Int) { state.withLock { $0.promptTokens = promptTokens } }

  /// How long it took from the wish to stop to the stream's error.
  @discardableResult
  func read(
    _ stream: TokenStream, of session: Session, stopBy way: Way,
    when isTime: @escaping @Sendable (StreamReader) -> Bool
  ) async -> Duration {
    let reading = Task {
      await #expect(throws: GenerationError.cancelled) {
        for try await token in stream { self.state.withLock { $0.tokens.append(token) } }
      }
      let end = ContinuousClock.now
      self.state.withLock { $0.isOver = true }
      return end
    }
    let asked = await withCheckedContinuation { continuation in
      // A thread, since tests that run side by side may keep every place for tasks busy.
      Thread {
        while !isTime(self) && !self.state.withLock(\.isOver) { usleep(1_000) }
        let asked = ContinuousClock.now
        switch way {
        case .task: reading.cancel()
        case .session: session.cancel()
        }
        continuation.resume(returning: asked)
      }.start()
    }
    return await reading.value - asked
  }
}
