/// What a run measures.
package enum BenchmarkMode: String, Sendable, CaseIterable {
  /// Attention of one new token over a filled cache.
  case decode
  /// Attention of many new tokens over a filled cache.
  case prefill
  /// Growth of a filled cache by one token.
  case append
  /// Forks, shifts and rewinds of a long sequence.
  case edits
  /// A step with nothing to do.
  case forkJoin = "fork-join"
  /// What the machine can do.
  case limits
  /// A real model at several depths.
  case model
  /// Our figures beside those of another engine.
  case compare

  /// What stands after the mode: a file, or nothing.
  package var argument: String? {
    switch self {
    case .model: "MODEL"
    case .compare: "FILE"
    default: nil
    }
  }
}
