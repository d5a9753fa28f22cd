import Memory
import StreamingAttention

extension StressRun {
  /// What a step of growth is for.
  private enum GrowthStep {
    /// To get on.
    case bulk
    /// To be timed.
    case append
    /// To ask.
    case decode

    var tokens: Int { self == .bulk ? 512 : 1 }
  }

  /// Steps of one token that are timed for each context, half of them at its beginning: there one extent ends and the next begins.
  private static let timedSteps = 512
  /// The longest sequence that is compared with its naive list: a second of two threads.
  private static let longestOracle = 1 << 20

  /// Sequences grow together; between any two powers of two from 1K on the first and the last tokens are appended one by one and
  /// timed, then some ask, and one head is compared with the naive list.
  ///
  /// Memory that ends is an end like another.
  func grow() throws(StressError) {
    do throws(StressError) {
      for _ in 0..<options.sequences { try subject.add(startingAt: 0) }
      var context = 1_024
      while !isOver {
        let mark = min(context, options.context ?? context)
        try grow(to: mark)
        if mark == options.context { break }
        context *= 2
      }
    } catch {
      guard error.isOutOfMemory, figures.tokensAppended > 0 else { throw error }
      figures.refusals += 1
    }
  }

  private func grow(to mark: Int) throws(StressError) {
    let decodes = decodeCount(at: mark)
    let timed = min(Self.timedSteps, mark / 4)
    let last = mark - decodes - (subject.longest > 0 ? timed / 2 : timed)
    if subject.longest > 0 { try advance(to: min(subject.longest + timed / 2, last), by: .append) }
    try advance(to: last, by: .bulk)
    try advance(to: mark - decodes, by: .append)
    try advance(to: mark, by: .decode)
    guard !isOver else { return }
    try compareSome(longest: Self.longestOracle)
    figures.look(
      formula: subject.cache.formulaBytes, committed: subject.committedBytes,
      resident: ProcessMemory.residentBytes, context: mark)
  }

  /// Decode steps that read about 16 GiB together, 4 at least and 32 at most.
  private func decodeCount(at mark: Int) -> Int {
    let pages = (mark + PageLayout.slots - 1) / PageLayout.slots
    let bytes = options.sequences * pages * subject.setBytes
    return min(max((16 << 30) / bytes, 4), 32)
  }

  /// All sequences grow to a length, if the run is not over before.
  private func advance(to length: Int, by kind: GrowthStep) throws(StressError) {
    while !isOver, subject.longest < length {
      try checkInterrupt()
      let count = min(kind.tokens, length - subject.longest)
      let work = subject.pairs.indices.map {
        StepWork(index: $0, appended: count, asks: kind == .decode)
      }
      figures.steps += 1
      let step = try step(work)
      switch kind {
      case .bulk: break
      case .append: figures.addAppend(step)
      case .decode: figures.addDecode(step)
      }
    }
  }
}
