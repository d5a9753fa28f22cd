import Glibc

/// A bar on standard error while a long prompt is read; nothing at all where that is no terminal.
struct ProgressBar {
  private let total: Int
  private let label: String
  private var drawn = -1

  /// Drawn only for at least this many tokens: shorter prompts are read at once.
  static let shortestPrompt = 256

  init(_ label: String, total: Int) {
    self.label = label
    self.total = total
  }

  private var isShown: Bool { Terminal.showsProgress && total >= Self.shortestPrompt }

  /// Shows that `done` of the total are read.
  mutating func update(_ done: Int) {
    guard isShown else { return }
    let width = 30
    let percent = done * 100 / max(total, 1)
    guard percent != drawn else { return }
    drawn = percent
    let filled = width * percent / 100
    let bar =
      String(repeating: "█", count: filled) + String(repeating: "·", count: width - filled)
    Terminal.noteUnended("\r\(label) \(bar) \(done)/\(total) tokens")
  }

  /// Clears the bar, so that the answer begins on a clean line.
  mutating func finish() {
    guard isShown, drawn >= 0 else { return }
    Terminal.noteUnended("\r\u{1B}[K")
    drawn = -1
  }
}
