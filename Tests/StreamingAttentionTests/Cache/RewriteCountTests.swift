import KernelTable
import TestSupport
import Testing

@testable import StreamingAttention

/// How often keys have been turned and rounded again (`PageSet.rewrites`), and the errors that their pages record.
///
/// Only removals turn keys. Quantising, rewinding and copying leave the count alone; what they cost is recorded as an error.
@Suite("Pages that are written anew count it")
struct RewriteCountTests {
  /// All keys and values in one type, and a window wider than any sequence here.
  private func harness(_ type: ElementType) throws -> OperationHarness {
    try OperationHarness(seed: 0, types: [type, type, type], window: 5_000)
  }

  /// A sequence of 300 tokens, the first of which stands at a position, and which tokens they are.
  private func grown(
    _ type: ElementType, from position: Int
  ) throws -> (harness: OperationHarness, sequence: SequenceID, identities: [Int]) {
    let harness = try harness(type)
    let sequence = try harness.cache.makeSequence(startingAt: position)
    return (harness, sequence, Array(try harness.append([(sequence, 300)])[0]))
  }

  private func counts(_ harness: OperationHarness, _ sequence: SequenceID) -> [Int] {
    harness.entries(of: sequence, table: 0).map { harness.rewrites($0.page, table: 0) }
  }

  /// The errors that an entry's pages record, of all layers and KV heads, keys before values.
  private func errors(
    _ harness: OperationHarness, _ sequence: SequenceID, entry index: Int
  ) -> [Double] {
    var errors: [Double] = []
    for (layer, shape) in harness.cache.layers.enumerated() {
      let table = harness.cache.table(ofLayer: layer)
      let page = harness.entries(of: sequence, table: table)[index].page
      for head in 0..<shape.kvHeads {
        let recorded = unsafe harness.cache.pageErrors(layer: layer, kvHead: head)[page]
        errors += [Double(recorded.key), Double(recorded.value)]
      }
    }
    return errors
  }

  /// The largest norms of what an entry's live slots hold, in the order of `errors`.
  private func norms(
    _ harness: OperationHarness, _ sequence: SequenceID, entry index: Int
  ) -> [Double] {
    var norms: [Double] = []
    for (layer, shape) in harness.cache.layers.enumerated() {
      let entry = harness.entries(of: sequence, table: harness.cache.table(ofLayer: layer))[index]
      for head in 0..<shape.kvHeads {
        guard let page = CodedPage(of: entry, in: harness.cache, layer: layer, head: head) else {
          continue
        }
        norms.append(entry.slots.map { page.key(slot: $0).norm }.max() ?? 0)
        norms.append(entry.slots.map { page.value(slot: $0).norm }.max() ?? 0)
      }
    }
    return norms
  }

  @Test(
    "once for each removal inside of them, and take the count into codes, back, and to copies",
    arguments: [ElementType.int8, .int4])
  func counting(type: ElementType) throws {
    let (harness, sequence, start) = try grown(type, from: 100_000)
    let cache = harness.cache
    var identities = start
    #expect(counts(harness, sequence) == [0, 0, 0, 0, 0])
    try cache.remove(70..<80, from: sequence)
    identities.removeSubrange(70..<80)
    #expect(counts(harness, sequence) == [0, 1, 0, 0, 0])
    // The next step makes codes of it.
    identities += try harness.append([(sequence, 1)])[0]
    #expect(harness.forms(of: sequence) == [true, true, true, false, false])
    #expect(counts(harness, sequence) == [0, 1, 0, 0, 0])
    // At a page's end nothing is written.
    try cache.remove(50..<64, from: sequence)
    identities.removeSubrange(50..<64)
    #expect(counts(harness, sequence) == [0, 1, 0, 0, 0])
    // A rewind does not turn keys, nor does the token that widens the page, nor the step that gives up.
    try cache.truncate(sequence, to: 80)
    identities.removeSubrange(80...)
    #expect(counts(harness, sequence) == [0, 1])
    _ = try harness.append([(sequence, 1)], commits: false)
    #expect(counts(harness, sequence) == [0, 1])
    identities += try harness.append([(sequence, 1)])[0]
    #expect(harness.forms(of: sequence) == [true, false])
    #expect(counts(harness, sequence) == [0, 1])
    // Shared, it is copied for who appends, bounds and all.
    let fork = try cache.fork(sequence)
    let forked = identities
    identities += try harness.append([(sequence, 1)])[0]
    #expect(cache.statistics().copies == cache.tableCount)
    #expect(counts(harness, sequence) == [0, 1] && counts(harness, fork) == [0, 1])
    #expect(
      errors(harness, sequence, entry: 1) == errors(harness, fork, entry: 1))
    // A second time, for one of the two.
    try cache.remove(55..<57, from: sequence)
    identities.removeSubrange(55..<57)
    #expect(counts(harness, sequence) == [0, 2] && counts(harness, fork) == [0, 1])
    identities += try harness.append([(sequence, 200)])[0]
    #expect(harness.forms(of: sequence) == [true, true, true, false, false])
    #expect(counts(harness, sequence) == [0, 2, 0, 0, 0])
    // A private copy of codes that are shared goes on from their count.
    let second = try cache.fork(sequence)
    try cache.remove(55..<57, from: second)
    #expect(counts(harness, second) == [0, 3, 0, 0, 0])
    #expect(counts(harness, sequence) == [0, 2, 0, 0, 0])
    #expect(harness.holds(identities, in: sequence) && harness.holds(forked, in: fork))
    identities.removeSubrange(55..<57)
    #expect(harness.holds(identities, in: second) && cache.checkInvariants() == [])
  }

  /// A sequence of six pages of which pages 1 and 2 have been turned so often, and were cut to 6 tokens each, but that the removal
  /// between them, `70..<end`, is still to come.
  private func cut(
    _ harness: OperationHarness, turns: (left: Int, right: Int)
  ) throws -> (sequence: SequenceID, identities: [Int], between: Range<Int>) {
    let sequence = try harness.cache.makeSequence()
    var identities = Array(try harness.append([(sequence, 384)])[0])
    for _ in 0..<turns.right {
      try harness.cache.remove(150..<151, from: sequence)
      identities.remove(at: 150)
    }
    for _ in 0..<turns.left {
      try harness.cache.remove(100..<101, from: sequence)
      identities.remove(at: 100)
    }
    let end = 192 - turns.left - turns.right - 6
    return (sequence, identities, 70..<end)
  }

  @Test(
    "as the larger count of two that become one, one more where keys are turned for it",
    arguments: [ElementType.int8, .int4, .float16],
    [
      (left: 1, right: 2, merged: 3), (left: 4, right: 1, merged: 4),
      (left: 0, right: 0, merged: 1),
    ])
  func merging(type: ElementType, turns: (left: Int, right: Int, merged: Int)) throws {
    let harness = try harness(type)
    let (sequence, whole, between) = try cut(harness, turns: (turns.left, turns.right))
    #expect(counts(harness, sequence) == [0, turns.left, turns.right, 0, 0, 0])
    let before =
      type == .float16
      ? nil
      : (errors(harness, sequence, entry: 1), errors(harness, sequence, entry: 2))
    try harness.cache.remove(between, from: sequence)
    var identities = whole
    identities.removeSubrange(between)
    // In each of the two page tables.
    #expect(harness.cache.statistics().merges == 2)
    #expect(counts(harness, sequence) == [0, turns.merged, 0, 0, 0])
    // What either was off by, some of its tokens may be.
    if let before {
      for (merged, pair) in zip(errors(harness, sequence, entry: 1), zip(before.0, before.1)) {
        #expect(merged >= max(pair.0, pair.1) && pair.0 > 0 && pair.1 > 0)
      }
    }
    #expect(harness.holds(identities, in: sequence) && harness.cache.checkInvariants() == [])
  }

  @Test(
    "nothing where two become one that need no turn",
    arguments: [ElementType.int8, .int4, .float16])
  func mergingUnturned(type: ElementType) throws {
    let harness = try harness(type)
    let sequence = try harness.cache.makeSequence()
    var identities = Array(try harness.append([(sequence, 384)])[0])
    // The last ten tokens of page 1, then the first ten of page 2, whose anchors have fallen alike.
    for range in [64..<118, 84..<138] {
      try harness.cache.remove(range, from: sequence)
      identities.removeSubrange(range)
    }
    // In each of the two page tables.
    #expect(harness.cache.statistics().merges == 2)
    #expect(counts(harness, sequence) == [0, 0, 0, 0, 0])
    #expect(harness.holds(identities, in: sequence))
  }

  @Test(
    "so that keys of 16 bits are within 1 + count roundings, and not within one",
    arguments: [ElementType.float16, .bfloat16])
  func roundings(type: ElementType) throws {
    let harness = try harness(type)
    let sequence = try harness.cache.makeSequence(startingAt: 200_000)
    var identities = Array(try harness.append([(sequence, 200)])[0])
    for count in 1...24 {
      try harness.cache.remove(66..<67, from: sequence)
      identities.remove(at: 66)
      try #require(counts(harness, sequence) == [0, count, 0, 0])
      try #require(harness.holds(identities, in: sequence))
    }
    // A rounding is anywhere within half a unit in the last place, which is between u·|x| ÷ 2 and u·|x|: 24 of them add up to
    // √(24 ÷ 3) = 2.8 times that, 1.4 to 2.8 u·|x| in the mean. Of 38 keys some are off by more, which one rounding would not allow.
    let entry = harness.entries(of: sequence, table: 0)[1]
    let worst = entry.slots.dropFirst(2).map { slot in
      harness.keyRoundings(
        identities[entry.tokens.lowerBound + slot], layer: 0, head: 0, entry: entry, slot: slot)
    }.max()
    #expect(worst.map { $0 > 1.5 && $0 <= 25 } == true)
  }

  @Test(
    "and record every error since they were first quantised",
    arguments: [ElementType.int8, .int4])
  func errors(type: ElementType) throws {
    let (harness, sequence, start) = try grown(type, from: 200_000)
    let cache = harness.cache
    var identities = start
    var before = errors(harness, sequence, entry: 1)
    func grow(_ count: Int) throws { identities += try harness.append([(sequence, count)])[0] }
    /// Checks that errors have grown by one rounding to 11 bits at least, which moves a row by up to 2⁻¹¹ of its norm.
    func requireGrowth(_ comment: Comment) throws {
      let now = errors(harness, sequence, entry: 1)
      let norms = norms(harness, sequence, entry: 1)
      for index in now.indices {
        try #require(now[index] >= before[index] + 0x1p-11 * norms[index], comment)
      }
      before = now
      try #require(harness.holds(identities, in: sequence), comment)
    }
    for cycle in 1...24 {
      // Turned, and rounded to plain numbers.
      try cache.remove(66..<67, from: sequence)
      identities.remove(at: 66)
      try requireGrowth("removal \(cycle)")
      // Quantised: not by less than it was off before, which its codes stand for.
      try grow(1)
      try #require(harness.forms(of: sequence).prefix(2) == [true, true])
      let coded = errors(harness, sequence, entry: 1)
      for (now, then) in zip(coded, before) { try #require(now > then, "quantising \(cycle)") }
      before = coded
      try #require(harness.holds(identities, in: sequence))
      // Rewound, widened and rounded to plain numbers; what follows is new.
      let length = 64 + 50 - cycle
      try cache.truncate(sequence, to: length)
      identities.removeSubrange(length...)
      try #require(errors(harness, sequence, entry: 1) == before)
      try grow(1)
      try #require(harness.forms(of: sequence) == [true, false])
      try requireGrowth("widening \(cycle)")
      try grow(200)
      before = errors(harness, sequence, entry: 1)
      try #require(counts(harness, sequence).prefix(3) == [0, cycle, 0])
      try #require(harness.holds(identities, in: sequence))
    }
    #expect(cache.checkInvariants() == [])
  }
}
