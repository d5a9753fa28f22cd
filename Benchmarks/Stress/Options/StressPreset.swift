/// What a run does to the cache.
package enum StressPreset: String, Sendable, CaseIterable {
  /// Sequences grow until the context or the memory limit is reached.
  case growth
  /// Hundreds of sequences of random lengths come and go.
  case ragged

  /// One line for the help.
  package var help: String {
    switch self {
    case .growth: "Sequences grow from 1K tokens on, until --context or the memory limit."
    case .ragged: "Sequences of random lengths come, grow and go."
    }
  }

  /// The longest sequence unless told otherwise; nil where only memory sets an end.
  var context: Int? {
    switch self {
    case .growth: nil
    case .ragged: 2_048
    }
  }

  /// The most sequences at once unless told otherwise.
  var sequences: Int {
    switch self {
    case .growth: 1
    case .ragged: 200
    }
  }

  /// Operations unless told otherwise; nil where something else sets an end.
  var steps: Int? {
    switch self {
    case .growth: nil
    case .ragged: 2_000
    }
  }
}
