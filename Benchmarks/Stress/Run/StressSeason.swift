/// What a run does for a while.
struct StressSeason: Sendable {
  let mix: StressMix
  /// What an eviction keeps.
  let policy: StressPolicy
  /// Whether it goes on in a cache of its own whose layers have a window, another one each time.
  let hasWindow: Bool
  /// The most sequences, where that is less than the run's own number: snapshots take time.
  let mostSequences: Int

  /// How many operations it has, where there are several.
  static let length = 500

  init(
    _ mix: StressMix, policy: StressPolicy = .sinks, hasWindow: Bool = false,
    mostSequences: Int = .max
  ) {
    (self.mix, self.policy) = (mix, policy)
    (self.hasWindow, self.mostSequences) = (hasWindow, mostSequences)
  }

  /// The seasons of `soak`: sequences in which policies have left gaps, and those with pins, go on in the ones that follow.
  static let soak = [
    StressSeason(.pins, policy: .recent), StressSeason(.mixed),
    StressSeason(.pins, policy: .heavyHitters), StressSeason(.forkStorm),
    StressSeason(.pins, policy: .observationWindow), StressSeason(.shiftStorm),
    StressSeason(.pins), StressSeason(.saves, policy: .heavyHitters, mostSequences: 8),
    StressSeason(.evict), StressSeason(.ragged),
    StressSeason(.windows, hasWindow: true, mostSequences: 8),
  ]
}
