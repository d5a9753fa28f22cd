/// How a child process ended, and what it wrote.
package struct Outcome: Sendable {
  package let output: [UInt8]
  package let errorOutput: [UInt8]
  /// Nil when a signal ended it.
  package let exitStatus: Int32?
  /// Nil when it exited by itself.
  package let signal: Int32?
  package let timedOut: Bool
  package let duration: Duration
  package let peakResidentBytes: Int

  /// Standard output; bytes that are not UTF-8 become U+FFFD, so compare `output` where that matters.
  package var text: String { String(decoding: output, as: UTF8.self) }

  /// Standard error.
  package var errorText: String { String(decoding: errorOutput, as: UTF8.self) }

  /// The lines of standard error, without empty ones.
  package var errorLines: [String] { errorText.split(separator: "\n").map(String.init) }
}
