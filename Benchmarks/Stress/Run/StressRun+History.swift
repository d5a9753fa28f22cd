import Benchmarking
import StreamingAttention

extension StressRun {
  /// The longest sequences are compared, so many.
  private static let compared = 8
  private static let repeats = 15

  /// Decodes from the longest sequences, and in turns from others of the same lengths that only grew and forked: pages that several
  /// sequences share are read once for all of them, which takes more arithmetic for each byte, so the others share as much.
  ///
  /// Without memory for these there is no comparison.
  func compareHistory() throws(StressError) {
    let first = subject.pairs.count
    do throws(StressError) { try compareWithGrown() } catch {
      guard error.isOutOfMemory else { throw error }
    }
    while subject.pairs.count > first { try subject.drop(subject.pairs.count - 1) }
  }

  private func compareWithGrown() throws(StressError) {
    let order = subject.pairs.indices.sorted {
      subject.pairs[$0].list.liveCount > subject.pairs[$1].list.liveCount
    }
    let history = order.prefix(Self.compared).filter { subject.pairs[$0].list.liveCount > 0 }
      .sorted()
    guard !history.isEmpty else { return }
    let first = subject.pairs.count
    let pageFill = subject.cache.statistics().pageFill
    for (place, index) in history.enumerated() {
      let list = subject.pairs[index].list
      let shared = history[..<place].map { list.sharedPrefix(with: subject.pairs[$0].list) }
      let most = shared.max() ?? 0
      if most > 0, let parent = shared.firstIndex(of: most) {
        try subject.fork(first + parent)
        try subject.truncate(subject.pairs.count - 1, to: most)
      } else {
        try subject.add(startingAt: 0)
      }
      try append(list.liveCount - most, to: subject.pairs.count - 1)
    }
    let grown = Array(first..<subject.pairs.count)
    var (times, bytes) = ([Samples(), Samples()], [0, 0])
    for turn in 0..<2 * Self.repeats {
      try checkInterrupt()
      let which = (turn + turn / 2) % 2
      let work = (which == 0 ? history : grown).map {
        StepWork(index: $0, appended: 0, asks: true)
      }
      let step = try step(work)
      times[which].add(step.attend)
      bytes[which] = step.bytesRead
    }
    let speeds = [0, 1].map { Double(bytes[$0]) / times[$0].medianMilliseconds / 1e6 }
    figures.history = try describe(
      history, pageFill: pageFill, bytes: Double(bytes[0]) / Double(bytes[1]), speeds: speeds)
  }

  private func describe(
    _ history: [Int], pageFill: Double, bytes: Double, speeds: [Double]
  ) throws(StressError) -> HistoryFigures {
    var (tokens, turns) = (0, 0)
    for index in history {
      let id = subject.pairs[index].id
      tokens += subject.pairs[index].list.liveCount
      turns +=
        try StressError.wrapping { () throws(CacheError) in try subject.cache.anchorRuns(of: id) }
        - 1
    }
    return HistoryFigures(
      sequences: history.count, tokens: tokens,
      turnsPer2048Slots: Double(turns) / (Double(tokens) / 2_048),
      pageFill: pageFill, bytesOfGrown: bytes,
      gigabytesPerSecond: speeds[0], grownGigabytesPerSecond: speeds[1])
  }
}
