/// How a command ends, after sysexits.h: `attend`, and `Benchmark` with it.
package enum ExitStatus: Int32, Sendable {
  case success = 0
  case usage = 64
  case badData = 65
  case missingFile = 66
  case software = 70
  case outOfResources = 71
  case inputOutput = 74
  /// By Control-C, or in between by whichever signal it was: the command tells them apart at the end.
  case interrupted = 130
  /// By SIGTERM.
  case terminated = 143
}
