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
  /// Attention of one new token of each of several forks of a filled sequence, in one step.
  case forks
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

  private static let shapes: Set = [
    "--context", "--shape", "--query-heads", "--kv-heads", "--head-dimension", "--key-type",
    "--value-type",
  ]
  private static let fills: Set = [
    "--batch", "--position", "--keys", "--key-rotation", "--seed", "--threads", "--instruction-set",
    "--repeat",
  ]
  private static let attention = shapes.union(fills).union([
    "--alibi-epsilon", "--anchor-run", "--attempts",
  ])
  private static let models: Set = [
    "--context", "--depth", "--prompt-length", "--query-length", "--weight-type", "--key-type",
    "--value-type", "--full-precision-first", "--full-precision-last",
    "--threads", "--instruction-set", "--repeat", "--attempts", "--seed",
  ]

  /// The options that have a meaning in a mode, nil for the default run; those of the output have one in all.
  static func optionNames(of mode: BenchmarkMode?) -> Set<String> {
    switch mode {
    case .decode: attention
    case nil, .prefill: attention.union(["--query-length"])
    case .append: shapes.union(fills)
    case .edits: shapes.union(["--repeat"])
    case .forks:
      shapes.union(fills).subtracting(["--batch", "--key-rotation"])
        .union(["--forks", "--attempts"])
    case .forkJoin: ["--threads", "--repeat"]
    case .limits: ["--threads", "--instruction-set"]
    case .model: models
    // The figures say all else.
    case .compare:
      [
        "--model", "--weight-type", "--keys", "--seed", "--instruction-set", "--repeat",
        "--attempts",
      ]
    }
  }
}
