package import Benchmarking
import StreamingAttention

/// Why a run has stopped early.
package enum StressError: Error, Equatable, CustomStringConvertible {
  /// The engine refused, or the caller asked to stop.
  case stopped(BenchmarkError)
  /// A check failed: what, where, and what should have been.
  case failed(String)

  /// One line.
  package var description: String {
    switch self {
    case .stopped(let error): "\(error)"
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

  init(_ error: AttentionError) {
    self = .stopped(error == .cancelled ? .interrupted : .attention(error))
  }

  static func wrapping<Value>(
    _ body: () throws(CacheError) -> Value
  ) throws(StressError) -> Value {
    do throws(CacheError) { return try body() } catch { throw .stopped(.cache(error)) }
  }
}
