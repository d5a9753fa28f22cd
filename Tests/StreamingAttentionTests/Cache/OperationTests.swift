import KernelTable
import Memory
import TestSupport
import Testing

@testable import StreamingAttention

@Suite("Operations on sequences")
struct OperationTests {
  /// One rotary layer of two KV heads, f16.
  private static let plain = [
    LayerShape(
      kvHeads: 2, keyWidth: 64, keyType: .float16, valueType: .float16,
      keyPositions: .rotary(pairs: 32, pairing: .halves))
  ]

  private func cache(
    _ layers: [LayerShape] = OperationTests.plain, limit: Int = 64 << 20
  ) throws -> KVCache {
    let cache = try KVCache(layers: layers, stripes: [nil], memoryLimit: limit)
    let rotary = try RotaryEmbedding(headDimension: 64, pairing: .halves)
    _ = try AttentionEngine(
      cache: cache,
      layers: layers.map { layer in
        var attention = LayerAttention(
          queryHeads: 2, rotary: layer.rotaryPairs > 0 ? rotary : nil)
        if case .window(let length) = layer.retention { attention.window = length }
        return attention
      },
      workers: Workers(count: 1))
    return cache
  }

  private func grow(_ cache: KVCache, _ sequence: SequenceID, by count: Int) throws {
    cache.commit(try cache.reserve([SlotRequest(sequence, appending: count)]))
  }

  private func entries(_ cache: KVCache, _ sequence: SequenceID) throws -> [LiveEntry] {
    var entries: [LiveEntry] = []
    try cache.forEachLiveEntry(of: sequence, table: 0) { entries.append($0) }
    return entries
  }

  // MARK: Forks

  @Test("a fork copies no page; whoever appends first copies the newest, the other one keeps it")
  func fork() throws {
    let cache = try cache()
    let parent = try cache.makeSequence(startingAt: 7)
    try grow(cache, parent, by: 1000)
    let (bytes, formula) = (cache.byteCount, cache.formulaBytes)
    let child = try cache.fork(parent)
    let grandchild = try cache.fork(child)
    #expect(cache.byteCount == bytes && cache.formulaBytes == formula)
    #expect(try entries(cache, grandchild) == entries(cache, parent))
    #expect(try cache.nextPosition(of: grandchild) == 1007)
    let pages = try entries(cache, parent).map(\.page)
    for sequence in [child, parent, grandchild] { try grow(cache, sequence, by: 1) }
    #expect(cache.checkInvariants() == [])
    #expect(cache.statistics().copies == 2)
    #expect(try entries(cache, grandchild).map(\.page) == pages)
    for sequence in [child, parent] {
      let own = try entries(cache, sequence)
      #expect(own.map(\.page).dropLast() == pages.dropLast())
      #expect(own.last?.page != pages.last && own.last?.slots == 0..<41)
    }
    // In any order; what is shared lives as long as the last one.
    try cache.drop(child)
    try cache.drop(parent)
    #expect(cache.formulaBytes == formula && cache.checkInvariants() == [])
    try cache.drop(grandchild)
    #expect(cache.byteCount == 0 && cache.formulaBytes == 0 && cache.checkInvariants() == [])
  }

  @Test("a fork grows in extents of its own, from the smallest on")
  func extents() throws {
    let cache = try cache(limit: 1 << 30)
    let parent = try cache.makeSequence()
    try grow(cache, parent, by: 64 * 64)
    let before = cache.statistics().extents
    let child = try cache.fork(parent)
    try grow(cache, child, by: 64 * 32)
    // 1, 1, 2, 4, 8, 16 pages would need a first entry that they divide: 64, 65, 66, 68, 72, 80.
    #expect(cache.statistics().extents - before == 6 * 2)
    #expect(cache.checkInvariants() == [])
  }

  // MARK: Rewinding

  @Test("rewinding takes pages back in order, and growing again puts them where they were")
  func rewind() throws {
    let cache = try cache(limit: 1 << 30)
    let sequence = try cache.makeSequence()
    try grow(cache, sequence, by: 5000)
    let before = try entries(cache, sequence)
    for length in [4999, 4993, 4992, 4991, 4160, 4096, 4000, 64, 63, 1, 0] {
      try cache.truncate(sequence, to: length)
      #expect(cache.checkInvariants() == [])
      #expect(cache.formulaBytes == (length + 63) / 64 * cache.layout(ofLayer: 0).pageBytes * 2)
      let fork = try cache.fork(sequence)
      try grow(cache, sequence, by: 5000 - length)
      #expect(
        try entries(cache, sequence).map(\.basePosition) == before.map(\.basePosition)
          && entries(cache, sequence).map(\.number) == before.map(\.number))
      #expect(cache.checkInvariants() == [])
      try cache.truncate(sequence, to: length)
      try cache.drop(fork)
      #expect(cache.checkInvariants() == [])
    }
    #expect(try cache.nextPosition(of: sequence) == 0)
    #expect(cache.byteCount == 0)
    #expect(throws: CacheError.lengthOutOfRange(received: 1, allowed: 0...0)) {
      try cache.truncate(sequence, to: 1)
    }
    #expect(throws: CacheError.lengthOutOfRange(received: -1, allowed: 0...0)) {
      try cache.truncate(sequence, to: -1)
    }
  }

  @Test("rewinding beyond what a window holds names the shortest length, one page of slack is kept")
  func rewindWindow() throws {
    var layers = Self.plain
    layers[0].retention = .window(200)
    let cache = try cache(layers)
    let sequence = try cache.makeSequence(startingAt: 50)
    try grow(cache, sequence, by: 1000)
    // Live from token 704 on: 736 is the next position minus the window and the slack.
    #expect(throws: CacheError.lengthReleased(received: 902, shortest: 903)) {
      try cache.truncate(sequence, to: 902)
    }
    try cache.truncate(sequence, to: 936)
    try cache.truncate(sequence, to: 903)
    #expect(cache.checkInvariants() == [])
    #expect(throws: CacheError.lengthReleased(received: 1, shortest: 903)) {
      try cache.truncate(sequence, to: 1)
    }
    try cache.truncate(sequence, to: 0)
    #expect(try cache.nextPosition(of: sequence) == 50)
    #expect(cache.byteCount == 0)
  }

  @Test("a page that is written after a rewind bounds its live slots afresh")
  func rewoundNorms() throws {
    let harness = try OperationHarness(seed: 3)
    let sequence = try harness.cache.makeSequence()
    _ = try harness.append([(sequence, 60)])
    let page = harness.entries(of: sequence, table: 0)[0].page
    let norms = unsafe harness.cache.pageNorms(layer: 0, kvHead: 0)
    unsafe norms[page] = PageNorms(key: 1e9, value: 1e9)
    try harness.cache.truncate(sequence, to: 30)
    #expect(unsafe norms[page].key == 1e9)
    // Given up: the old bounds are back, and the next append computes them all the same.
    _ = try harness.append([(sequence, 1)], commits: false)
    #expect(unsafe norms[page].key == 1e9)
    _ = try harness.append([(sequence, 1)])
    #expect(unsafe norms[page].key < 100 && norms[page].value < 100)
    unsafe norms[page] = PageNorms(key: 1e9, value: 1e9)
    _ = try harness.append([(sequence, 1)])
    #expect(unsafe norms[page].key == 1e9)
  }

  @Test("a fork of a rewound sequence bounds its copy afresh, and leaves the other's bounds alone")
  func rewoundForkNorms() throws {
    let harness = try OperationHarness(seed: 3)
    let cache = harness.cache
    let parent = try cache.makeSequence()
    _ = try harness.append([(parent, 60)])
    let norms = unsafe cache.pageNorms(layer: 0, kvHead: 0)
    let page = harness.entries(of: parent, table: 0)[0].page
    unsafe norms[page] = PageNorms(key: 1e9, value: 1e9)
    try cache.truncate(parent, to: 30)
    let fork = try cache.fork(parent)
    _ = try harness.append([(fork, 1)])
    let copy = harness.entries(of: fork, table: 0)[0].page
    #expect(copy != page)
    let bounds = unsafe cache.pageNorms(layer: 0, kvHead: 0)
    #expect(unsafe bounds[copy].key < 100 && bounds[copy].value < 100)
    #expect(unsafe bounds[page].key == 1e9)
    _ = try harness.append([(parent, 1)])
    #expect(unsafe bounds[page].key < 100)
  }

  // MARK: Removals

  @Test("a context shift by whole pages edits integers only, and leaves siblings alone")
  func shift() throws {
    let cache = try cache()
    let sequence = try cache.makeSequence()
    try grow(cache, sequence, by: 640)
    let sibling = try cache.fork(sequence)
    let before = try entries(cache, sequence)
    let bytes = cache.byteCount
    try cache.remove(64..<192, from: sequence)
    let after = try entries(cache, sequence)
    #expect(
      after.map(\.page)
        == before.map(\.page).enumerated().filter { $0.0 != 1 && $0.0 != 2 }.map(\.1))
    #expect(after.map(\.number) == [0, 3, 4, 5, 6, 7, 8, 9])
    #expect(after.map(\.anchor) == [0] + Array(repeating: -128, count: 7))
    #expect(after.map(\.basePosition) == (0..<8).map { 64 * $0 })
    #expect(after.map(\.tokens.lowerBound) == (0..<8).map { 64 * $0 })
    #expect(try entries(cache, sibling) == before && cache.byteCount == bytes)
    #expect(try cache.anchorRuns(of: sequence) == 2 && cache.anchorRuns(of: sibling) == 1)
    #expect(cache.statistics().rewrites == 0 && cache.statistics().merges == 0)
    // Borders inside of two different pages: live ranges shrink, nothing is written.
    try cache.remove(100..<150, from: sequence)
    #expect(
      try entries(cache, sequence).map(\.slots).prefix(4) == [0..<64, 0..<36, 22..<64, 0..<64])
    #expect(cache.statistics().rewrites == 0 && cache.checkInvariants() == [])
  }

  @Test("a removal inside of a page writes it anew, privately if it is shared")
  func straddling() throws {
    let cache = try cache()
    let sequence = try cache.makeSequence()
    try grow(cache, sequence, by: 200)
    let pages = try entries(cache, sequence).map(\.page)
    try cache.remove(70..<80, from: sequence)
    #expect(try entries(cache, sequence).map(\.page) == pages)
    #expect(try entries(cache, sequence).map(\.slots) == [0..<64, 0..<54, 0..<64, 0..<8])
    #expect(try entries(cache, sequence).map(\.anchor) == [0, 0, -10, -10])
    let sibling = try cache.fork(sequence)
    let formula = cache.formulaBytes
    try cache.remove(130..<131, from: sequence)
    #expect(try entries(cache, sequence).map(\.page) != pages)
    #expect(try entries(cache, sibling).map(\.page) == pages)
    #expect(cache.formulaBytes - formula == cache.layout(ofLayer: 0).pageBytes * 2)
    #expect(cache.statistics().rewrites == 2 && cache.checkInvariants() == [])
  }

  @Test("neighbours that fill half a page at most become one, sinks and later pages excepted")
  func merging() throws {
    let cache = try cache()
    let sequence = try cache.makeSequence()
    try grow(cache, sequence, by: 64 * 6)
    // 16 slots left of entry 1 and 16 of entry 2, whose positions follow on.
    try cache.remove(80..<176, from: sequence)
    #expect(cache.statistics().merges == 1)
    #expect(try entries(cache, sequence).map(\.number) == [0, 1, 3, 4, 5])
    #expect(try entries(cache, sequence).map(\.slots) == [0..<64, 0..<32, 0..<64, 0..<64, 0..<64])
    #expect(cache.checkInvariants() == [])
    // 32 and 1: a slot too many.
    try cache.remove(97..<160, from: sequence)
    #expect(cache.statistics().merges == 1)
    // Four sinks stay alone, whatever is left beside them.
    let sinks = try cache.makeSequence()
    try grow(cache, sinks, by: 200)
    try cache.keep(first: 4, last: 8, of: sinks)
    #expect(cache.statistics().merges == 1)
    #expect(try entries(cache, sinks).map(\.slots) == [0..<4, 0..<8])
    #expect(cache.checkInvariants() == [])
  }

  @Test("half-dead leaves are renumbered by whole leaves, ends of a sequence never")
  func renumbering() throws {
    let cache = try cache(limit: 1 << 30)
    let sequence = try cache.makeSequence()
    try grow(cache, sequence, by: 64 * 128)
    try cache.remove(0..<64 * 40, from: sequence)
    #expect(try entries(cache, sequence).map(\.number) == Array(40..<128))
    // Entries 50…97 go: of leaves 1…3 there remain 10 + 30 of 96.
    try cache.remove(64 * 10..<64 * 58, from: sequence)
    #expect(try entries(cache, sequence).map(\.number) == Array(40..<50) + Array(66..<96))
    try grow(cache, sequence, by: 65)
    #expect(try entries(cache, sequence).map(\.number).suffix(2) == [96, 97])
    #expect(cache.checkInvariants() == [])
  }

  @Test("sinks and a window stay at positions inside the cache, for any length of stream")
  func sinks() throws {
    let cache = try cache()
    let sequence = try cache.makeSequence()
    var highest = 0
    for _ in 0..<3000 {
      try grow(cache, sequence, by: 7)
      try cache.keep(first: 4, last: 500, of: sequence)
      highest = max(highest, try entries(cache, sequence).map(\.number).max() ?? 0)
    }
    #expect(cache.checkInvariants() == [])
    #expect(try cache.length(of: sequence) == 504 && cache.nextPosition(of: sequence) == 504)
    #expect(try entries(cache, sequence)[0].slots == 0..<4)
    #expect(try cache.anchorRuns(of: sequence) <= 9)
    // Numbers do not run away, nor does memory.
    #expect(highest < 128 && cache.byteCount <= 8 << 20)
  }

  @Test("keys with absolute positions are never moved, nor windows left short")
  func refusals() throws {
    var layers = Self.plain
    layers[0].keyPositions = .absolute
    let absolute = try cache(layers)
    let fixed = try absolute.makeSequence()
    try grow(absolute, fixed, by: 100)
    #expect(throws: CacheError.absolutePositions(layer: 0)) {
      try absolute.remove(3..<4, from: fixed)
    }
    #expect(throws: CacheError.absolutePositions(layer: 0)) {
      try absolute.keep(first: 3, last: 4, of: fixed)
    }
    #expect(throws: CacheError.absolutePositions(layer: 0)) { try absolute.rebase(fixed, by: 1) }
    // At the end nothing moves.
    try absolute.remove(90..<100, from: fixed)
    #expect(try absolute.length(of: fixed) == 90)

    layers = Self.plain
    layers[0].retention = .window(200)
    let windowed = try cache(layers)
    let sequence = try windowed.makeSequence()
    try grow(windowed, sequence, by: 30)
    try windowed.pin(0..<4, of: sequence)
    try grow(windowed, sequence, by: 970)
    let before = try entries(windowed, sequence)
    #expect(before.map(\.number) == [0, 11, 12, 13, 14, 15])
    // Tokens 704…999 are live: without 150 of them 146 are left before the next one.
    #expect(throws: CacheError.windowReleased(layer: 0, received: 146, allowed: 200)) {
      try windowed.remove(800..<950, from: sequence)
    }
    #expect(try entries(windowed, sequence) == before)
    #expect(windowed.checkInvariants() == [])
    // Of the tokens that would be left, the window holds the pinned page's alone, and not the last one.
    #expect(throws: CacheError.windowReleased(layer: 0, received: 0, allowed: 200)) {
      try windowed.keep(first: 500, last: 0, of: sequence)
    }
    #expect(try entries(windowed, sequence) == before)
    // Pinned sinks are live, so that they may move up to the window.
    try windowed.keep(first: 4, last: 150, of: sequence)
    #expect(try entries(windowed, sequence).map(\.tokens.lowerBound).first == 0)
    #expect(try windowed.nextPosition(of: sequence) == 154 && windowed.checkInvariants() == [])

    #expect(throws: CacheError.rangeOutOfBounds(received: 150..<155, allowed: 0..<154)) {
      try windowed.remove(150..<155, from: sequence)
    }
    #expect(throws: CacheError.rangeOutOfBounds(received: -1..<1, allowed: 0..<154)) {
      try windowed.pin(-1..<1, of: sequence)
    }
    #expect(throws: CacheError.invalidTokenCount(received: -1)) {
      try windowed.keep(first: -1, last: 3, of: sequence)
    }
    let reservation = try windowed.reserve([SlotRequest(sequence, appending: 1)])
    #expect(throws: CacheError.stepInProgress) { try windowed.fork(sequence) }
    #expect(throws: CacheError.stepInProgress) { try windowed.truncate(sequence, to: 0) }
    #expect(throws: CacheError.stepInProgress) { try windowed.remove(0..<1, from: sequence) }
    #expect(throws: CacheError.stepInProgress) {
      try windowed.keep(first: 0, last: 0, of: sequence)
    }
    #expect(throws: CacheError.stepInProgress) { try windowed.pin(0..<1, of: sequence) }
    #expect(throws: CacheError.stepInProgress) { try windowed.unpin(0..<1, of: sequence) }
    windowed.abandon(reservation)
    try windowed.drop(sequence)
    #expect(throws: CacheError.unknownSequence(sequence)) { try windowed.fork(sequence) }
  }

  @Test("keys are turned only by frequencies that somebody has named")
  func frequencies() throws {
    let cache = try KVCache(layers: Self.plain, stripes: [nil], memoryLimit: 64 << 20)
    let sequence = try cache.makeSequence()
    try grow(cache, sequence, by: 200)
    let before = try entries(cache, sequence)
    #expect(throws: CacheError.unknownFrequencies(layer: 0, epoch: 1)) {
      try cache.remove(3..<5, from: sequence)
    }
    #expect(try entries(cache, sequence) == before && cache.checkInvariants() == [])
    // Where nothing is written anew nobody asks.
    try cache.remove(60..<70, from: sequence)
    #expect(cache.checkInvariants() == [])
  }
}
