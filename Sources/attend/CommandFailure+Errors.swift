import Memory
import Benchmarking
import ModelFiles
import Models
import StreamingAttention

/// Library errors as failures of the command.
extension CommandFailure {
  init(_ error: ModelFileError) { self.init(error.exitStatus, "\(error)") }

  init(_ error: ModelError) { self.init(error.exitStatus, of: error) }

  init(_ error: AttentionError) { self.init(error.exitStatus, "\(error)") }

  init(_ error: BenchmarkError) { self.init(error.exitStatus, of: error) }

  /// A signal is called by its name.
  private init(_ status: ExitStatus, of error: some Error) {
    self.init(status, status == .interrupted ? Interrupt.message : "\(error)")
  }

  /// Runs `body` and turns what it throws into a failure of the command.
  static func wrapping<Value>(_ body: () throws(ModelError) -> Value) throws(CommandFailure)
    -> Value
  {
    do throws(ModelError) { return try body() } catch { throw CommandFailure(error) }
  }
}
