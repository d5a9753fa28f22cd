import Memory
import TestSupport
import Testing

@testable import StreamingAttention

/// Sequences that change by whole pages beside lists of what each page was filled with.
private struct PageHistory {
  /// Pages of 16 KiB: 64 KiB a page set of the two layers that keep everything, 32 KiB in the one with a window.
  static let layers = layers(.float16, .float16)
  /// Codes of 8 and 4 bits, whose pages take 8.25 and 5 KiB, and plain pages as before.
  static let quantizedLayers = layers(.int8, .int4)

  private static func layers(_ keyType: ElementType, _ valueType: ElementType) -> [LayerShape] {
    [0, 0, 4096].map { window in
      LayerShape(
        kvHeads: 2, keyWidth: 64, keyType: keyType, valueType: valueType, keyPositions: .none,
        retention: window > 0 ? .window(window) : .everything)
    }
  }

  let harness: CacheHarness
  var random: SeededGenerator
  /// What fills each page of a sequence.
  var fills: [SequenceID: [UInt8]] = [:]
  var order: [SequenceID] = []
  private var nextFill: UInt8 = 1

  var cache: KVCache { harness.cache }

  init(seed: UInt64, layers: [LayerShape] = Self.layers, memoryLimit: Int = 1 << 30) throws {
    harness = try CacheHarness(layers, memoryLimit: memoryLimit)
    random = SeededGenerator(seed: seed)
  }

  mutating func makeSequence() throws -> SequenceID {
    let sequence = try cache.makeSequence()
    fills[sequence] = []
    order.append(sequence)
    return sequence
  }

  mutating func append(_ pages: Int, to sequence: SequenceID, commits: Bool = true) throws {
    let step = try cache.reserve([SlotRequest(sequence, appending: 64 * pages)])
    guard commits else { return cache.abandon(step) }
    cache.fillReservedPages(with: nextFill)
    cache.commit(step)
    fills[sequence]?.append(contentsOf: [UInt8](repeating: nextFill, count: pages))
    nextFill = nextFill % 250 + 1
  }

  mutating func fork(_ sequence: SequenceID) throws {
    let copy = try cache.fork(sequence)
    fills[copy] = fills[sequence]
    order.append(copy)
  }

  mutating func drop(_ sequence: SequenceID) throws {
    try cache.drop(sequence)
    fills[sequence] = nil
    order.removeAll { $0 == sequence }
  }

  /// False if the window of a layer does not allow it.
  @discardableResult
  mutating func remove(_ pages: Range<Int>, from sequence: SequenceID) throws -> Bool {
    do {
      try cache.remove(64 * pages.lowerBound..<64 * pages.upperBound, from: sequence)
    } catch CacheError.windowReleased {
      return false
    } catch CacheError.lengthReleased {
      return false
    }
    fills[sequence]?.removeSubrange(pages)
    return true
  }

  mutating func keep(first: Int, last: Int, of sequence: SequenceID) throws {
    try cache.keep(first: 64 * first, last: 64 * last, of: sequence)
    let count = fills[sequence]?.count ?? 0
    fills[sequence]?.removeSubrange(first..<count - last)
  }

  /// What is wrong with the bytes of any live page.
  func wrongPages() -> Int {
    var wrong = 0
    for sequence in order {
      let expected = fills[sequence] ?? []
      for layer in cache.layers.indices {
        let entries = harness.entries(of: sequence, table: cache.table(ofLayer: layer))
        let isWhole = cache.layers[layer].retention == .everything
        if isWhole, entries.count != expected.count { wrong += 1 }
        for entry in entries {
          let fill = expected[entry.tokens.lowerBound / 64]
          for head in 0..<2 {
            if entry.isCoded {
              if !holdsCodes(of: fill, entry, layer: layer, head: head) { wrong += 1 }
              continue
            }
            let address = harness.address(layer: layer, head: head, page: entry.page)
            // SAFETY: the page belongs to a live entry, so it is committed and 16 KiB long.
            let bytes = unsafe UnsafeRawBufferPointer(
              start: UnsafeRawPointer(bitPattern: address), count: 16_384)
            for index in stride(from: 0, to: 16_384, by: 1170) where unsafe bytes[index] != fill {
              wrong += 1
            }
          }
        }
      }
    }
    return wrong
  }

  /// Whether a page in codes holds the number whose bytes the plain one was filled with, in its first and last slot.
  ///
  /// All numbers of the page are the same: codes are 0, and the zero is that number.
  private func holdsCodes(of fill: UInt8, _ entry: LiveEntry, layer: Int, head: Int) -> Bool {
    guard let page = CodedPage(of: entry, in: cache, layer: layer, head: head) else { return false }
    let number = Double(Float16(bitPattern: UInt16(fill) << 8 | UInt16(fill)))
    return [0, 63].allSatisfy { slot in
      [0, 31, 63].allSatisfy {
        page.key(channel: $0, slot: slot) == number && page.value(channel: $0, slot: slot) == number
      }
    }
  }

  /// An extent for each sequence, layer and KV head, and two groups for each layer.
  var slack: Int {
    order.count * (4 * 32 + 2 * 16) * 16_384 + cache.layers.count * 2 * Arena.groupBytes
  }
}

@Suite("Thin extents")
struct ThinExtentTests {
  private static let plain = Array(PageHistory.layers.prefix(2))

  /// Ten extents of 32 pages, of which eight pages each are left.
  private static func thinned(memoryLimit: Int = 1 << 30) throws -> (PageHistory, SequenceID) {
    var history = try PageHistory(seed: 1, layers: plain, memoryLimit: memoryLimit)
    let sequence = try history.makeSequence()
    for _ in 0..<40 { try history.append(8, to: sequence) }
    for extent in stride(from: 9, through: 1, by: -1) {
      try history.remove(32 * extent + 4..<32 * extent + 28, from: sequence)
    }
    return (history, sequence)
  }

  @Test(
    "are emptied before a step commits more than the formula has ever asked for, bits unchanged")
  func growth() throws {
    var (history, sequence) = try Self.thinned()
    let cache = history.cache
    let before = cache.statistics()
    // The tenth is the sequence's newest.
    #expect(before.thinExtents == 8 * 4 && before.emptiedExtents == 0)
    // Removing has copied nothing and given nothing back.
    let (bytes, peak) = (cache.byteCount, cache.peakFormulaBytes)
    #expect(peak == 320 * 65_536 && cache.formulaBytes == (320 - 9 * 24) * 65_536)
    try history.fork(sequence)
    let other = try history.makeSequence()
    for _ in 0..<200 {
      try history.append(1, to: other)
      #expect(cache.byteCount <= cache.peakFormulaBytes + history.slack)
    }
    let after = cache.statistics()
    #expect(after.emptiedExtents > 0 && after.movedPageSets > 0)
    // With the extents as they were, 200 pages more would have taken 12.5 MiB more.
    #expect(cache.byteCount < bytes + 200 * 65_536 / 2)
    #expect(history.wrongPages() == 0)
    #expect(cache.checkInvariants() == [])
    for sequence in history.order { try history.drop(sequence) }
    #expect(cache.byteCount == 0 && cache.statistics().extents == 0)
  }

  @Test("are found to be wrong where an extent's list misses a page set, or names one that is dead")
  func lists() throws {
    let (history, _) = try Self.thinned()
    let pool = history.cache.pools[0]
    #expect(history.cache.checkInvariants() == [])
    let extent = try #require(
      (0..<pool.extents.count).first { pool.extents[$0].livePages == 8 })
    let first = pool.extents[extent].firstSet
    let second = pool.sets[Int(first)].nextInExtent
    pool.unlist(second)
    #expect(history.cache.checkInvariants().count == 1)
    pool.list(second)
    #expect(history.cache.checkInvariants() == [])
    let dead = try #require((0..<pool.sets.count).first { pool.sets[$0].referenceCount == 0 })
    pool.sets[dead].nextInExtent = first
    pool.sets[dead].previousInExtent = -1
    pool.extents[extent].firstSet = Int32(dead)
    #expect(!history.cache.checkInvariants().isEmpty)
  }

  @Test("are left alone while the formula has asked for as much before")
  func belowPeak() throws {
    var (history, sequence) = try Self.thinned()
    let other = try history.makeSequence()
    try history.append(400, to: other)
    let peak = history.cache.peakFormulaBytes
    try history.drop(other)
    let emptied = history.cache.statistics().emptiedExtents
    for _ in 0..<40 { try history.append(4, to: sequence) }
    #expect(history.cache.peakFormulaBytes == peak)
    #expect(history.cache.statistics().emptiedExtents == emptied)
    #expect(history.wrongPages() == 0)
  }

  @Test(
    "are emptied before a step is refused at the memory limit, and a step given up keeps its pages")
  func limit() throws {
    // 22 MiB: the 20 MiB of the first sequence and not one group for each layer more.
    var (history, sequence) = try Self.thinned(memoryLimit: 22 << 20)
    let cache = history.cache
    let other = try history.makeSequence()
    try history.append(40, to: other, commits: false)
    #expect(history.wrongPages() == 0 && cache.checkInvariants() == [])
    for _ in 0..<30 { try history.append(4, to: other) }
    #expect(cache.statistics().emptiedExtents > 0)
    #expect(cache.byteCount <= 22 << 20)
    #expect(history.wrongPages() == 0 && cache.checkInvariants() == [])
    try history.drop(sequence)
    try history.drop(other)
    #expect(cache.byteCount == 0)
  }

  @Test("of which a step copies at most 8 MiB of a layer")
  func amount() throws {
    var (history, _) = try Self.thinned(memoryLimit: 22 << 20)
    let other = try history.makeSequence()
    var moved = 0
    for _ in 0..<20 {
      try history.append(8, to: other)
      let now = history.cache.statistics().movedPageSets
      // A layer's part of a page set is 32 KiB.
      #expect((now - moved) * 32_768 <= 8 << 20)
      moved = now
    }
    #expect(moved > 0)
  }

  @Test("behind the sinks of a sequence that evicts are spared, and likewise those of its fork")
  func evictingFork() throws {
    var history = try PageHistory(seed: 1, layers: Self.plain)
    let cache = history.cache
    let parent = try history.makeSequence()
    for _ in 0..<40 { try history.append(8, to: parent) }
    // A page of sinks, then pages 56 and later: of the extents of pages 32..<64 a quarter is left.
    try history.keep(first: 1, last: 320 - 56, of: parent)
    try history.fork(parent)
    try history.drop(parent)
    #expect(cache.statistics().thinExtents == 4)
    let other = try history.makeSequence()
    for _ in 0..<200 { try history.append(1, to: other) }
    // 265 + 200 pages: more than the 320 of the largest formula before, so that others would have been emptied.
    #expect(cache.statistics().emptiedExtents == 0 && cache.statistics().thinExtents == 4)
    #expect(history.wrongPages() == 0 && cache.checkInvariants() == [])
  }

  @Test("do not matter while sequences only grow and fork: committed bytes stay near the formula")
  func growing() throws {
    var history = try PageHistory(seed: 3)
    let cache = history.cache
    for _ in 0..<3 { _ = try history.makeSequence() }
    for _ in 0..<500 {
      let sequence = history.order[history.random.integer(in: 0..<history.order.count)]
      if history.random.integer(in: 0..<40) == 0, history.order.count < 12 {
        try history.fork(sequence)
      } else {
        try history.append(history.random.integer(in: 1..<4), to: sequence)
      }
      // What leaves the window is no growth: its formula is the largest that it has had.
      #expect(cache.byteCount <= cache.peakFormulaBytes + history.slack)
    }
    #expect(cache.statistics().emptiedExtents == 0 && history.wrongPages() == 0)
    for sequence in history.order { try history.drop(sequence) }
    #expect(cache.byteCount == 0)
  }

  @Test("of codes are emptied likewise, beside plain pages and others that have no codes")
  func codes() throws {
    var history = try PageHistory(
      seed: 5, layers: Array(PageHistory.quantizedLayers.prefix(2)), memoryLimit: 14 << 20)
    let cache = history.cache
    let sequence = try history.makeSequence()
    for _ in 0..<40 { try history.append(8, to: sequence) }
    for extent in stride(from: 8, through: 1, by: -1) {
      try history.remove(32 * extent + 4..<32 * extent + 28, from: sequence)
    }
    try history.fork(sequence)
    let other = try history.makeSequence()
    try history.append(40, to: other, commits: false)
    #expect(history.wrongPages() == 0 && cache.checkInvariants() == [])
    for _ in 0..<40 {
      try history.append(4, to: other)
      #expect(cache.checkInvariants() == [])
    }
    #expect(cache.statistics().emptiedExtents > 0 && cache.statistics().movedPageSets > 0)
    #expect(cache.statistics().quantizedPages > 0)
    #expect(history.wrongPages() == 0)
    for sequence in history.order { try history.drop(sequence) }
    #expect(cache.byteCount == 0 && cache.statistics().extents == 0)
  }

  @Test(
    "keep committed bytes near the largest formula in random histories, and nothing is left",
    arguments: 1...8 as ClosedRange<UInt64>, [false, true])
  func histories(seed: UInt64, isQuantized: Bool) throws {
    var history = try PageHistory(
      seed: seed, layers: isQuantized ? PageHistory.quantizedLayers : PageHistory.layers)
    let cache = history.cache
    var worst = -Int.max
    _ = try history.makeSequence()
    for step in 0..<1_500 {
      let count = history.order.count
      guard count > 0, history.random.integer(in: 0..<25) > 0 || count > 8 else {
        _ = try history.makeSequence()
        continue
      }
      let sequence = history.order[history.random.integer(in: 0..<count)]
      let pages = history.fills[sequence]?.count ?? 0
      switch history.random.integer(in: 0..<100) {
      case ..<60 where pages < 400:
        try history.append(
          [1, 2, 5, 20][history.random.integer(in: 0..<4)], to: sequence,
          commits: history.random.integer(in: 0..<10) > 0)
      case ..<66: if count < 10 { try history.fork(sequence) }
      case ..<71: try history.drop(sequence)
      default:
        guard pages > 2 else { continue }
        let start = history.random.integer(in: 0..<pages - 1)
        let most = [4, 24, 100][history.random.integer(in: 0..<3)]
        let length = history.random.integer(in: 1..<most)
        try history.remove(start..<min(start + length, pages - 1), from: sequence)
      }
      worst = max(worst, cache.byteCount - cache.peakFormulaBytes - history.slack)
      if step % 50 == 0 {
        #expect(cache.checkInvariants() == [])
        #expect(history.wrongPages() == 0)
      }
    }
    #expect(worst <= 0, "\(worst) bytes beyond, \(cache.statistics())")
    #expect(history.wrongPages() == 0)
    while let sequence = history.order.last { try history.drop(sequence) }
    #expect(cache.byteCount == 0 && cache.formulaBytes == 0 && cache.statistics().extents == 0)
    #expect(cache.checkInvariants() == [])
  }
}
