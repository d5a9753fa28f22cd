/// What a run may do next to the sequences of a cache.
enum StressOperation: String, Sendable, CaseIterable {
  /// Another sequence comes with a prompt.
  case arrive
  /// A sequence gets another part of its prompt.
  case extend
  /// Some sequences get one token each, and ask.
  case decode
  /// A sequence goes.
  case drop
  /// A sequence becomes two.
  case fork
  /// Tokens of a sequence go, and later ones move down.
  case shift
  /// A sequence keeps its first tokens and a window.
  case evict
  /// A sequence is rewound.
  case truncate
  /// A sequence moves to other positions.
  case rebase
  /// Some tokens of a sequence are pinned.
  case pin
  /// Some are no longer.
  case unpin
  /// One head of one sequence is compared with the naive list, and the books are recounted.
  case check
  /// The cache is saved; now and then it is restored elsewhere, and the run goes on there.
  case save
}

/// How often each operation comes, relative to the others.
struct StressMix: Sendable {
  let weights: [(operation: StressOperation, weight: Int)]

  static let ragged = StressMix(weights: [
    (.arrive, 30), (.extend, 15), (.decode, 40), (.drop, 12), (.check, 3),
  ])

  /// As a server sees them: prompts that share a beginning, answers, some asked for again, contexts that run full.
  static let mixed = StressMix(weights: [
    (.decode, 56), (.fork, 9), (.extend, 12), (.arrive, 3), (.drop, 5), (.truncate, 6), (.shift, 3),
    (.evict, 1), (.rebase, 2), (.check, 3),
  ])
  static let forkStorm = StressMix(weights: [
    (.fork, 45), (.decode, 30), (.extend, 3), (.truncate, 6), (.drop, 12), (.check, 4),
  ])
  static let shiftStorm = StressMix(weights: [
    (.shift, 40), (.extend, 25), (.decode, 25), (.rebase, 6), (.check, 4),
  ])
  static let evict = StressMix(weights: [
    (.evict, 25), (.extend, 45), (.decode, 26), (.check, 4),
  ])
  static let faults = StressMix(weights: [
    (.arrive, 15), (.extend, 15), (.decode, 20), (.drop, 4), (.fork, 12), (.shift, 15), (.evict, 6),
    (.truncate, 6), (.rebase, 3), (.check, 4),
  ])
  static let snapshot = StressMix(weights: [
    (.save, 16), (.decode, 24), (.extend, 14), (.arrive, 5), (.fork, 10), (.drop, 6), (.shift, 10),
    (.evict, 3), (.truncate, 6), (.rebase, 3), (.check, 3),
  ])
  /// Evictions among pins, and all that moves what they spare.
  static let pins = StressMix(weights: [
    (.evict, 12), (.pin, 8), (.unpin, 6), (.decode, 24), (.extend, 20), (.shift, 8),
    (.truncate, 7), (.fork, 6), (.arrive, 4), (.drop, 4), (.rebase, 2), (.check, 4),
  ])
  /// As `pins`, saved now and then: on a disk that others use a snapshot may take as long as thousands of other operations.
  static let saves = StressMix(weights: [(.save, 1)] + pins.weights)
  /// As a model with sliding windows has them.
  static let windows = StressMix(weights: [
    (.save, 1), (.decode, 26), (.extend, 22), (.pin, 6), (.unpin, 5), (.evict, 4), (.shift, 8),
    (.truncate, 8), (.fork, 6), (.arrive, 5), (.drop, 4), (.rebase, 2), (.check, 4),
  ])

  /// One of them, for a number from 0 to below 1.
  func operation(at place: Double, besides other: StressOperation? = nil) -> StressOperation {
    let weights = weights.filter { $0.operation != other }
    let total = weights.reduce(0) { $0 + $1.weight }
    var rest = Int(place * Double(total))
    for (operation, weight) in weights {
      if rest < weight { return operation }
      rest -= weight
    }
    return .check
  }
}
