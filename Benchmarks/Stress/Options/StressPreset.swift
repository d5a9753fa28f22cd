/// What a run does to the cache.
package enum StressPreset: String, Sendable, CaseIterable {
  /// Sequences grow until the context or the memory limit is reached.
  case growth
  /// Forks, shifts, rewinds and evictions, as a server sees them.
  case mixed
  /// One prefix, forked again and again.
  case forkStorm = "fork-storm"
  /// Full contexts that are shifted to make room.
  case shiftStorm = "shift-storm"
  /// Streams that keep their first tokens and a window.
  case evict
  /// Hundreds of sequences of random lengths come and go.
  case ragged
  /// Operations whose requests for memory fail, one after the other.
  case faults
  /// Caches are saved and restored; processes are killed while they save.
  case snapshot
  /// All of them but `growth`, `faults` and killed processes in turns, with every policy, pins and windows, for minutes.
  case soak

  /// One line for the help.
  package var help: String {
    switch self {
    case .growth: "Sequences grow from 1K tokens on, until --context or the memory limit."
    case .mixed: "Prompts, answers, forks, shifts, rewinds and evictions, as a server sees them."
    case .forkStorm: "One prefix is forked again and again."
    case .shiftStorm: "Full contexts lose pages and tokens to go on."
    case .evict: "Streams keep four tokens and a window."
    case .ragged: "Sequences of random lengths come, grow and go."
    case .faults: "Every request for memory of every operation fails once before it is granted."
    case .snapshot: "Caches are saved and restored, and processes killed while they save."
    case .soak:
      "All of these in turns, and pins and windows, but growth, faults and kills; for 10 minutes."
    }
  }

  /// The longest sequence unless told otherwise; nil where only memory sets an end.
  var context: Int? {
    switch self {
    case .growth: nil
    case .mixed: 16_384
    case .forkStorm, .shiftStorm: 32_768
    case .evict: 8_192
    case .ragged: 2_048
    case .faults: 512
    case .snapshot: 4_096
    case .soak: 4_096
    }
  }

  /// The most sequences at once unless told otherwise.
  var sequences: Int {
    switch self {
    case .growth: 1
    case .mixed: 24
    case .forkStorm: 64
    case .shiftStorm: 2
    case .evict: 4
    case .ragged: 200
    case .faults: 8
    case .snapshot: 8
    case .soak: 32
    }
  }

  /// Operations unless told otherwise; nil where something else sets an end.
  var steps: Int? {
    switch self {
    case .growth, .soak: nil
    case .mixed, .forkStorm, .ragged: 2_000
    case .shiftStorm, .evict: 1_000
    case .faults: 300
    case .snapshot: 400
    }
  }

  /// Minutes unless told otherwise; nil where something else sets an end.
  var minutes: Double? { self == .soak ? 10 : nil }

  /// Whether decode is timed beside sequences that only grew, once all is done.
  var comparesHistory: Bool { [.mixed, .shiftStorm, .evict, .ragged].contains(self) }

  /// One shift in so many is of any tokens; the others are of whole pages.
  var shiftsByPages: Int { self == .mixed ? 8 : 2 }
}
