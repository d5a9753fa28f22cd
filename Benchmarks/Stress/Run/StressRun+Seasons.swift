import Benchmarking
import StreamingAttention

extension StressRun {
  /// The most sequences of the season.
  var mostSequences: Int { min(options.sequences, season.mostSequences) }

  /// Begins a season, or goes on with the one there is; what it has too many of is dropped.
  func begin(_ next: StressSeason) throws(StressError) {
    season = next
    if next.hasWindow || subject.window != nil {
      try changeCache(window: next.hasWindow ? length(upTo: longestContext / 2) : nil)
    }
    subject.notesAttention = next.policy.needsAttention
    while subject.pairs.count > mostSequences { try dropOne(anyPair()) }
  }

  /// Goes on in another cache: whatever there is asks once more and is dropped.
  private func changeCache(window: Int?) throws(StressError) {
    try askAll()
    // All that can be refused comes before anything is given up, so that it can be tried again.
    let other = try anotherSubject(subject.options, window: window)
    other.tokenCount = subject.tokenCount
    figures.takeLast(subject.cache.statistics())
    figures.drops += subject.pairs.count
    try expectEmptyAfterDrop()
    subject = other
  }

  /// An empty cache beside the run's own, whose layers have a window or none.
  func anotherSubject(
    _ options: StressOptions, window: Int?
  ) throws(StressError) -> StressSubject {
    do throws(BenchmarkError) {
      let other = try StressSubject(options, window: window)
      (other.damage, other.notesAttention) = (subject.damage, subject.notesAttention)
      return other
    } catch {
      throw .stopped(error)
    }
  }
}
