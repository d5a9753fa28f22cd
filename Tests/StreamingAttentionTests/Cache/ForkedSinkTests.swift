import TestSupport
import Testing

@testable import StreamingAttention

/// Sinks of sequences that share their pages: each has its own, whatever becomes of the other.
@Suite("Sinks of forks")
struct ForkedSinkTests {
  /// A quantised cache whose first 70 tokens stay in full precision: those of pages 0 and 1.
  ///
  /// The window is wider than any sequence here, so that all lengths are possible.
  private func quantizedHarness() throws -> OperationHarness {
    try OperationHarness(
      seed: 2, types: OperationHarness.quantizedTypes,
      fullPrecision: FullPrecision(first: 70, last: 0), window: 5_000)
  }

  /// A sequence and its fork, that which will be changed first: the former if `changed` is 0.
  private func forked(
    _ parent: SequenceID, in cache: KVCache, changed: Int
  ) throws -> (own: SequenceID, other: SequenceID) {
    let fork = try cache.fork(parent)
    return changed == 0 ? (parent, fork) : (fork, parent)
  }

  private func protectedTokens(
    _ harness: OperationHarness, _ sequence: SequenceID
  ) throws -> [Range<Int>] {
    try harness.cache.pages(of: sequence, layer: 0).filter(\.isProtected).map(\.tokens)
  }

  @Test(
    "in full precision stay so in whoever is rewound into them, and are written anew for it alone",
    arguments: [0, 1])
  func rewind(changed: Int) throws {
    let harness = try quantizedHarness()
    let cache = harness.cache
    let parent = try cache.makeSequence(startingAt: 1_000)
    let whole = Array(try harness.append([(parent, 500)])[0])
    let (own, other) = try forked(parent, in: cache, changed: changed)
    let shared = harness.contents(of: other)
    #expect(harness.forms(of: own) == [false, false, true, true, true, true, false, false])
    // Into the second page of sinks, where token 70 is no sink but shares their page; then into the first.
    for (length, forms) in [
      (75, [false, false, true, true, true, true, false, false]),
      (30, [false, false, true, true, true, false, false]),
    ] {
      var identities = Array(whole.prefix(length))
      try cache.truncate(own, to: length)
      #expect(harness.contents(of: other) == shared)
      #expect(harness.holds(identities, in: own))
      identities += try harness.append([(own, 400)])[0]
      #expect(harness.forms(of: own) == forms)
      #expect(harness.contents(of: other) == shared)
      #expect(harness.holds(identities, in: own) && harness.holds(whole, in: other))
      #expect(cache.checkInvariants() == [])
    }
    try cache.drop(own)
    #expect(harness.contents(of: other) == shared && cache.checkInvariants() == [])
    // Alone, it writes its sinks where they are.
    let copies = cache.statistics().copies
    try cache.truncate(other, to: 65)
    let identities = Array(whole.prefix(65) + (try harness.append([(other, 1)])[0]))
    #expect(cache.statistics().copies == copies)
    #expect(harness.holds(identities, in: other))
  }

  @Test("in full precision stay so when a removal has all pages looked at again")
  func removal() throws {
    let harness = try quantizedHarness()
    let cache = harness.cache
    let parent = try cache.makeSequence()
    let whole = Array(try harness.append([(parent, 500)])[0])
    let fork = try cache.fork(parent)
    let shared = harness.contents(of: parent)
    var identities = whole
    // Inside of a page in codes, then inside of a page of sinks.
    for range in [150..<160, 20..<30] {
      try cache.remove(range, from: fork)
      identities.removeSubrange(range)
      identities += try harness.append([(fork, 1)])[0]
      #expect(harness.forms(of: fork) == [false, false, true, true, true, true, false, false])
      #expect(harness.contents(of: parent) == shared)
      #expect(harness.holds(identities, in: fork) && cache.checkInvariants() == [])
    }
    // The first page of sinks is the fork's own now, the second one still shared.
    #expect(
      zip(harness.entries(of: parent, table: 0), harness.entries(of: fork, table: 0))
        .map { $0.page == $1.page } == [false, true, false, true, true, true, true, false])
    try cache.drop(parent)
    #expect(harness.holds(identities, in: fork) && cache.checkInvariants() == [])
  }

  @Test(
    "beside a window are inherited, and then follow what each sequence loses", arguments: [0, 1])
  func window(changed: Int) throws {
    let harness = try OperationHarness(seed: 4, window: 5_000)
    let cache = harness.cache
    let parent = try cache.makeSequence(startingAt: 1_000)
    let whole = Array(try harness.append([(parent, 1_000)])[0])
    try cache.keep(first: 70, last: 700, of: parent)
    let kept = Array(whole[..<70] + whole[300...])
    let (own, other) = try forked(parent, in: cache, changed: changed)
    let (shared, sinks) = (harness.contents(of: other), [0..<64, 64..<70, 730..<770])
    for sequence in [own, other] { #expect(try protectedTokens(harness, sequence) == sinks) }

    // Ten sinks less: the others are 60.
    try cache.remove(0..<10, from: own)
    #expect(try protectedTokens(harness, own) == [0..<54, 54..<60, 720..<760])
    // Rewound to 40 of them, it has no others to come: what fills their second page is none.
    try cache.truncate(own, to: 40)
    let identities = Array(kept[10..<50] + (try harness.append([(own, 400)])[0]))
    #expect(try protectedTokens(harness, own) == [0..<54, 438..<440])
    #expect(harness.holds(identities, in: own))
    #expect(throws: CacheError.protectedPage(received: 0, tokens: 0..<54)) {
      try cache.evict(pages: [0], from: own, layer: 0)
    }
    try cache.evict(pages: [1], from: own, layer: 0)

    #expect(harness.contents(of: other) == shared)
    #expect(try protectedTokens(harness, other) == sinks)
    try cache.drop(own)
    #expect(harness.contents(of: other) == shared && harness.holds(kept, in: other))
    #expect(cache.checkInvariants() == [])
  }

  @Test("stay in pages of their own, whatever their neighbours have shrunk to", arguments: [0, 1])
  func merging(changed: Int) throws {
    let harness = try OperationHarness(seed: 4, window: 5_000)
    let cache = harness.cache
    let parent = try cache.makeSequence()
    let whole = Array(try harness.append([(parent, 400)])[0])
    try cache.keep(first: 4, last: 200, of: parent)
    let (own, other) = try forked(parent, in: cache, changed: changed)
    let shared = harness.contents(of: other)
    // Tokens 4..<60 are what is left of page 3; two of them stay beside the four sinks.
    #expect(harness.entries(of: own, table: 0).map(\.tokens).prefix(2) == [0..<4, 4..<60])
    try cache.remove(6..<60, from: own)
    let entries = harness.entries(of: own, table: 0)
    #expect(entries.map(\.tokens).prefix(2) == [0..<4, 4..<6])
    #expect(entries[0].page == harness.entries(of: other, table: 0)[0].page)
    #expect(cache.statistics().merges == 0)
    let identities = Array(whole[..<4] + whole[200..<202] + whole[256...])
    #expect(harness.holds(identities, in: own) && harness.contents(of: other) == shared)
    try cache.drop(own)
    #expect(harness.contents(of: other) == shared && cache.checkInvariants() == [])
  }

  @Test("and their pins are inherited, and then each sequence's own", arguments: [0, 1])
  func pins(changed: Int) throws {
    let harness = try OperationHarness(seed: 4, window: 5_000)
    let cache = harness.cache
    let parent = try cache.makeSequence()
    let whole = Array(try harness.append([(parent, 600)])[0])
    try cache.pin(200..<203, of: parent)
    let (own, other) = try forked(parent, in: cache, changed: changed)
    try cache.unpin(201..<202, of: own)
    #expect(try cache.pinnedTokens(of: own) == [200..<201, 202..<203])
    #expect(try cache.pinnedTokens(of: other) == [200..<203])
    for sequence in [own, other] { try cache.keep(first: 4, last: 100, of: sequence) }
    #expect(
      harness.holds(
        Array(whole[..<4] + [whole[200], whole[202]] + whole[500...]), in: own))
    #expect(harness.holds(Array(whole[..<4] + whole[200..<203] + whole[500...]), in: other))
    #expect(cache.checkInvariants() == [])
  }
}
