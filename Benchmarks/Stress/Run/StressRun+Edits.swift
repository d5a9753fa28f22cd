import Benchmarking
import Generation
import StreamingAttention

/// Operations that change what a sequence already holds.
extension StressRun {
  /// Attention sinks: the first tokens, which eviction keeps.
  private static let sinks = 4

  /// A sequence becomes two; that takes no page.
  func fork() throws(StressError) {
    if subject.pairs.count >= mostSequences { try dropOne(anyPair()) }
    guard !subject.pairs.isEmpty else { return }
    let index = anyPair()
    let before = (subject.cache.formulaBytes, subject.cache.byteCount)
    try timed("fork") { () throws(StressError) in try subject.fork(index) }
    figures.forks += 1
    let after = (subject.cache.formulaBytes, subject.cache.byteCount)
    guard before == after else {
      throw .failed("a fork took pages: \(before) bytes before, \(after) afterwards")
    }
    figures.checksPassed += 1
  }

  /// Tokens go, and later ones move down: whole pages behind the first one, or any range.
  func shift(_ index: Int) throws(StressError) {
    let count = subject.pairs[index].list.count
    let page = PageLayout.slots
    var isDone = false
    if count > 2 * page, Int.random(in: 0..<options.preset.shiftsByPages, using: &random) > 0 {
      let pages = length(upTo: min(4, count / page - 1))
      try timed("shift by pages") { () throws(StressError) in
        isDone = try subject.remove(page..<(1 + pages) * page, from: index)
      }
    } else {
      let start = Int.random(in: 0...count, using: &random)
      let most = min(count - start, max(count / 4, 1))
      let range = start..<start + (most > 0 ? length(upTo: most) : 0)
      try timed("shift by tokens") { () throws(StressError) in
        isDone = try subject.remove(range, from: index)
      }
    }
    if isDone { figures.shifts += 1 }
  }

  /// What the season's policy chooses stays, or sinks and a window.
  func evict(_ index: Int) throws(StressError) {
    let window = Int.random(in: max(longestContext / 4, 1)...longestContext / 2, using: &random)
    var isDone = false
    try timed("evict") { () throws(StressError) in
      if season.policy == .sinks {
        isDone = try subject.keep(first: Self.sinks, last: window, of: index)
      } else {
        let count = max(window / PageLayout.slots, 1)
        isDone = try subject.evict(index, to: count, by: season.policy) > 0
      }
    }
    if isDone { figures.evictions += 1 }
  }

  /// Some tokens are pinned, at most a quarter of a sequence at once.
  func pin() throws(StressError) {
    let index = anyPair()
    let count = subject.pairs[index].list.count
    guard count > 0 else { return }
    let start = Int.random(in: 0..<count, using: &random)
    let tokens = start..<min(start + length(upTo: max(count / 4, 1)), count)
    try timed("pin") { () throws(StressError) in try subject.pin(tokens, of: index) }
    figures.pins += 1
    figures.checksPassed += 1
  }

  /// All pins of a sequence go, or those among the tokens from some place on.
  func unpin() throws(StressError) {
    let index = anyPair()
    let count = subject.pairs[index].list.count
    let start = Bool.random(using: &random) ? 0 : Int.random(in: 0...count, using: &random)
    try timed("unpin") { () throws(StressError) in try subject.unpin(start..<count, of: index) }
  }

  /// The newest tokens go: mostly a few, as where an answer is asked for again.
  func truncate() throws(StressError) {
    let index = anyPair()
    let count = subject.pairs[index].list.count
    let gone = count == 0 ? 0 : length(upTo: count)
    try timed("truncate") { () throws(StressError) in
      try subject.truncate(index, to: count - gone)
    }
    figures.truncations += 1
  }

  /// All tokens move to other positions, up to 262,143 and down to 0.
  func rebase() throws(StressError) {
    let index = anyPair()
    let list = subject.pairs[index].list
    let target = Int.random(in: 0...max(262_143 - list.count, 0), using: &random)
    try timed("rebase") { () throws(StressError) in
      try subject.rebase(index, by: target - list.base)
    }
  }

  /// Makes room in a sequence that has as many tokens as it may, or lets it go.
  func makeRoom(_ index: Int) throws(StressError) {
    switch options.preset {
    case .shiftStorm: try shift(index)
    case .evict: try evict(index)
    default: try dropOne(index)
    }
  }

  /// Fills as many sequences as there may be, or as memory lets it.
  func fill() throws(StressError) {
    while subject.pairs.count < options.sequences {
      try subject.add(startingAt: 0)
      guard try appendWhatFits(longestContext, to: subject.pairs.count - 1) else { return }
    }
  }

  /// One sequence that the others are forked from.
  func prefill(_ count: Int) throws(StressError) {
    try subject.add(startingAt: 0)
    try appendWhatFits(max(count, 1), to: 0)
  }

  /// Appends tokens to a sequence, the newest one, until memory ends; one that gets none is dropped.
  ///
  /// - Returns: Whether all found room.
  /// - Throws: ``StressError``, also where no token of the whole run finds room.
  @discardableResult
  func appendWhatFits(_ count: Int, to index: Int) throws(StressError) -> Bool {
    var rest = count
    while true {
      do throws(StressError) {
        try append(rest, to: index)
        return rest == count
      } catch {
        guard error.isOutOfMemory else { throw error }
        figures.refusals += 1
        try subject.checkBooks()
        figures.checksPassed += 1
        guard subject.pairs[index].list.count == 0 else { return false }
        // Less than a part of a prompt may still find room.
        rest = min(rest, Self.chunk) / 2
        guard rest == 0 else { continue }
        guard figures.tokensAppended > 0 else { throw error }
        try dropOne(index)
        return false
      }
    }
  }
}
