import Synchronization

/// A bar on standard error while a long prompt is read; nothing at all where that is no terminal.
final class ProgressBar: Sendable {
  private let total: Int
  private let label: String
  /// The percentage on the terminal; −1 for no bar.
  private let drawn = Mutex(-1)

  /// Drawn only for at least this many tokens: shorter prompts are read at once.
  private static let shortestPrompt = 256
  private static let width = 30

  init(_ label: String, total: Int) {
    self.label = label
    self.total = total
  }

  /// Shows that `done` of the total are read; all of them clears the bar, so that an answer begins on a clean line.
  func update(_ done: Int) {
    guard Terminal.showsProgress, total >= Self.shortestPrompt else { return }
    guard done < total else { return finish() }
    let percent = done * 100 / total
    let isNew = drawn.withLock { drawn in
      defer { drawn = percent }
      return drawn != percent
    }
    guard isNew else { return }
    let filled = Self.width * percent / 100
    let bar =
      String(repeating: "█", count: filled) + String(repeating: "·", count: Self.width - filled)
    Terminal.noteUnended("\r\(label) \(bar) \(done)/\(total) tokens")
  }

  /// Clears the bar.
  func finish() {
    let isDrawn = drawn.withLock { drawn in
      defer { drawn = -1 }
      return drawn >= 0
    }
    if isDrawn { Terminal.noteUnended("\r\u{1B}[K") }
  }
}
