import Glibc
import Memory

extension ExitStatus {
  /// How reading a file for input ends that the system refused; that too many files are open is not the file's fault.
  init(readingFailed number: Int32) {
    self = number == EMFILE || number == ENFILE ? .inputOutput : .missingFile
  }
}

/// Why a command ended early: one line for standard error, and the status.
struct CommandFailure: Error, Equatable {
  var status: ExitStatus
  var message: String

  init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }

  /// A wrong command line.
  static func usage(_ message: String) -> CommandFailure { CommandFailure(.usage, message) }
}
