import Glibc
import Memory

/// Standard output and standard error, without buffering of our own.
enum Terminal {
  /// Writes an answer's bytes; a closed pipe or a full disk ends the command with 74.
  static func write(_ text: String) throws(CommandFailure) {
    try write(text, to: STDOUT_FILENO)
  }

  /// Writes a line on standard error; failures there have nowhere to go.
  static func note(_ line: String) {
    try? write(line + "\n", to: STDERR_FILENO)
  }

  /// Writes part of a line on standard error.
  static func noteUnended(_ text: String) {
    try? write(text, to: STDERR_FILENO)
  }

  /// Ends the process with a line on standard error, by nothing that allocates or that a signal handler may not do.
  static func end(_ status: ExitStatus, saying line: StaticString) -> Never {
    _ = unsafe Glibc.write(STDERR_FILENO, line.utf8Start, line.utf8CodeUnitCount)
    _exit(status.rawValue)
  }

  /// Whether standard error is a terminal, where progress may be shown.
  static var showsProgress: Bool { isatty(STDERR_FILENO) == 1 }

  /// Characters of a line of the terminal at standard error; nil where it does not say.
  static var columns: Int? {
    var size = winsize()
    // SAFETY: the request writes one `winsize`.
    guard unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else {
      return nil
    }
    return Int(size.ws_col)
  }

  /// Writes all of `text` to an open file.
  static func write(_ text: String, to descriptor: Int32) throws(CommandFailure) {
    var text = text
    let failure: Int32? = text.withUTF8 { bytes in
      var written = 0
      while written < bytes.count {
        // SAFETY: the rest of the buffer, which `withUTF8` keeps alive.
        let count = unsafe Glibc.write(
          descriptor, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written)
        if count < 0 {
          if errno == EINTR { continue }
          return errno
        }
        written += count
      }
      return nil
    }
    if let failure {
      let isClosed = failure == EBADF && descriptor == STDOUT_FILENO
      throw CommandFailure(
        .inputOutput,
        isClosed
          ? "standard output is closed, or open for reading only"
          : "cannot write: \(systemMessage(failure))")
    }
  }

  /// An environment variable's value.
  static func environment(_ name: String) -> String? {
    // SAFETY: getenv returns a string of the environment, which nothing in this program changes.
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }

  /// `text` on one line: control characters are escaped.
  static func printable(_ text: String) -> String {
    text.unicodeScalars.reduce(into: "") { result, scalar in
      if scalar.properties.generalCategory == .control {
        result += scalar.escaped(asASCII: true)
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
  }
}
