package import Memory
package import Models
package import StreamingAttention

/// Why a benchmark cannot be set up or has stopped.
package enum BenchmarkError: Error, Equatable, CustomStringConvertible {
  /// An option has a value that is not allowed, or does not fit the mode.
  case option(name: String, received: String, allowed: String)
  /// The engine refused.
  case attention(AttentionError)
  /// The cache refused.
  case cache(CacheError)
  /// The cache would pass its limit.
  case cacheLimit(needed: Int, allowed: Int)
  /// The system refused memory.
  case memory(MemoryError)
  /// The model cannot be loaded or run.
  case model(ModelError)
  /// A file of results does not hold what it should.
  case data(path: String, line: Int, reason: String)
  /// A file of results cannot be read.
  case unreadable(path: String, reason: String)
  /// What the records go to cannot be written.
  case output(String)
  /// An answer was not what was planted, what Double or another way makes of the same rows, or what came before.
  case wrongAnswer
  /// The caller asked to stop.
  case interrupted

  /// One line: what, where, what to change.
  package var description: String {
    switch self {
    case .option(let name, let received, let allowed):
      "\(name) is '\(received)'; allowed: \(allowed)"
    case .attention(let error): "\(error)"
    case .cache(let error): "\(AttentionError.cache(error))"
    case .cacheLimit(let needed, let allowed):
      "the cache would need \(needed) bytes of page memory and may use \(allowed); shorten --context, or take fewer "
        + "sequences, fewer KV heads or smaller types"
    case .memory(let error): "\(error)"
    case .model(let error): "\(error)"
    case .data(let path, let line, let reason): "\(path), line \(line): \(reason)"
    case .unreadable(let path, let reason): "\(path): \(reason)"
    case .output(let reason): reason
    case .wrongAnswer:
      "an answer is wrong (selfCheck): records that say WRONG, or \"passed\":false, do not count"
    case .interrupted: "interrupted"
    }
  }

  package static func wrapping<Value>(
    _ body: () throws(AttentionError) -> Value
  ) throws(BenchmarkError) -> Value {
    do throws(AttentionError) { return try body() } catch {
      throw error == .cancelled ? .interrupted : .attention(error)
    }
  }

  package static func wrapping<Value>(
    _ body: () throws(CacheError) -> Value
  ) throws(BenchmarkError) -> Value {
    do throws(CacheError) { return try body() } catch { throw .cache(error) }
  }

  package static func wrapping<Value>(
    _ body: () throws(FillError) -> Value
  ) throws(BenchmarkError) -> Value {
    do throws(FillError) { return try body() } catch {
      switch error {
      case .cache(let error): throw .cache(error)
      case .cancelled: throw .interrupted
      case .invalid(let name, let received, let allowed):
        throw .option(name: name, received: "\(received)", allowed: allowed)
      }
    }
  }

  package static func wrapping<Value>(
    _ body: () throws(ModelError) -> Value
  ) throws(BenchmarkError) -> Value {
    do throws(ModelError) { return try body() } catch {
      throw error == .cancelled ? .interrupted : .model(error)
    }
  }
}
