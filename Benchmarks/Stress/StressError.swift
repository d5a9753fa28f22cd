package import Benchmarking
import StreamingAttention

/// Why a run has stopped early.
package enum StressError: Error, Equatable, CustomStringConvertible {
  /// The engine refused, or the caller asked to stop.
  case stopped(BenchmarkError)
  /// A process that was to be killed ended before, as the command does where memory ends (71) or a disk is full (74).
  case process(number: Int, status: Int32)
  /// A check failed: what, where, and what should have been.
  case failed(String)

  /// One line.
  package var description: String {
    switch self {
    case .stopped(let error): "\(error)"
    case .process(let number, let status):
      "process \(number) ended with status \(status) before it was killed; "
        + (status == 71
          ? "raise --memory-limit or lower --sequences" : "see what it said of its files")
    case .failed(let reason): reason
    }
  }

  /// Whether memory ended, so that a run may free some and go on.
  var isOutOfMemory: Bool {
    switch self {
    case .stopped(.attention(.cache(let error))), .stopped(.cache(let error)):
      switch error {
      case .outOfMemory, .refused, .outOfAddressSpace: true
      default: false
      }
    case .stopped(.attention(.outOfMemory)): true
    default: false
    }
  }

  /// What the engine threw: memory may end and the caller may stop it, any other refusal is a failed check.
  init(_ error: AttentionError) {
    self = .stopped(error == .cancelled ? .interrupted : .attention(error))
    if error != .cancelled, !isOutOfMemory { self = .failed("the engine has refused: \(error)") }
  }

  /// What the cache threw, likewise.
  init(_ error: CacheError) {
    self = .stopped(.cache(error))
    if !isOutOfMemory { self = .failed("the cache has refused: \(error)") }
  }

  static func wrapping<Value>(
    _ body: () throws(CacheError) -> Value
  ) throws(StressError) -> Value {
    do throws(CacheError) { return try body() } catch { throw StressError(error) }
  }
}
