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
  /// One head of one sequence is compared with the naive list, and the books are recounted.
  case check
}

/// How often each operation comes, relative to the others.
struct StressMix: Sendable {
  let weights: [(operation: StressOperation, weight: Int)]

  static let ragged = StressMix(weights: [
    (.arrive, 30), (.extend, 15), (.decode, 40), (.drop, 12), (.check, 3),
  ])

  /// One of them, for a number from 0 to below 1.
  func operation(at place: Double) -> StressOperation {
    let total = weights.reduce(0) { $0 + $1.weight }
    var rest = Int(place * Double(total))
    for (operation, weight) in weights {
      if rest < weight { return operation }
      rest -= weight
    }
    return .check
  }
}
