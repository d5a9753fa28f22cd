import ModelFiles
import Models
import StreamingAttention

/// Which exit status each library error ends the command with.
extension CommandFailure {
  init(_ error: ModelFileError) {
    let status: ExitStatus =
      switch error {
      case .notFound, .unreadable, .missingShard: .missingFile
      case .unwritable, .tooManyOpenFiles: .inputOutput
      default: .badData
      }
    self.init(status, "\(error)")
  }

  init(_ error: ModelError) {
    switch error {
    case .file(let error): self.init(error)
    case .unsupported, .invalid, .positions, .tokenOutOfRange: self.init(.badData, "\(error)")
    case .attention(let error): self.init(error)
    case .outOfMemory: self.init(.outOfResources, "\(error)")
    case .cancelled: self.init(.interrupted, Interrupt.message)
    }
  }

  init(_ error: AttentionError) {
    let status: ExitStatus =
      switch error {
      case .cache(.outOfMemory), .cache(.refused), .cache(.outOfAddressSpace), .outOfMemory:
        .outOfResources
      case .cache(.positionOutOfRange), .cache(.invalidShape), .setting, .queryHeads: .badData
      case .instructionSet: .usage
      case .cancelled: .interrupted
      default: .software
      }
    self.init(status, "\(error)")
  }

  /// Runs `body` and turns what it throws into a failure of the command.
  static func wrapping<Value>(_ body: () throws(ModelError) -> Value) throws(CommandFailure)
    -> Value
  {
    do throws(ModelError) { return try body() } catch { throw CommandFailure(error) }
  }
}
