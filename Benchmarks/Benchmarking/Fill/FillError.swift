package import StreamingAttention

/// Why a synthetic cache could not be made or read.
package enum FillError: Error, Equatable {
  /// The cache refused.
  case cache(CacheError)
  /// A number that has no meaning here.
  case invalid(name: String, received: Int, allowed: String)
  /// The fill was cancelled; its sequences have been dropped.
  case cancelled

  static func wrapping<Value>(_ body: () throws(CacheError) -> Value) throws(FillError) -> Value {
    do throws(CacheError) { return try body() } catch { throw .cache(error) }
  }
}

extension FillError: CustomStringConvertible {
  /// One line: what, where, what to change.
  package var description: String {
    switch self {
    case .cache(let error):
      "\(error)"
    case .invalid(let name, let received, let allowed):
      "\(name) is \(received); allowed: \(allowed)"
    case .cancelled:
      "cancelled while the cache was being filled"
    }
  }
}
