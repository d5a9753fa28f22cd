import Glibc

/// How the command ends, after sysexits.h.
enum ExitStatus: Int32 {
  case success = 0
  case usage = 64
  case badData = 65
  case missingFile = 66
  case software = 70
  case outOfResources = 71
  case inputOutput = 74
  /// By Control-C, or in between by whichever signal it was: ``Interrupt/status`` tells them apart at the end.
  case interrupted = 130
  /// By SIGTERM.
  case terminated = 143
}

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
