import KernelTable
import TestSupport
import Testing

@testable import StreamingAttention

/// A quantised cache that grows, and what operations make of its pages.
@Suite("A quantised cache")
struct QuantizedCacheTests {
  private func harness(
    seed: UInt64 = 0, fullPrecision: FullPrecision = .newestPages, memoryLimit: Int = 64 << 20,
    window: Int = OperationHarness.window
  ) throws -> OperationHarness {
    try OperationHarness(
      seed: seed, memoryLimit: memoryLimit, types: OperationHarness.quantizedTypes,
      fullPrecision: fullPrecision, window: window)
  }

  @Test(
    "holds codes in all but the two newest pages, however it has grown",
    arguments: [1, 3, 64, 65, 200, 1_000])
  func growth(step: Int) throws {
    let harness = try harness()
    let sequence = try harness.cache.makeSequence(startingAt: 261_000)
    var identities: [Int] = []
    while identities.count < 600 {
      identities += try harness.append([(sequence, min(step, 600 - identities.count))])[0]
      if identities.count % 7 == 0 { #expect(harness.cache.checkInvariants() == []) }
    }
    #expect(harness.forms(of: sequence) == [Bool](repeating: true, count: 8) + [false, false])
    #expect(harness.cache.checkInvariants() == [])
    #expect(harness.holds(identities, in: sequence))
    let statistics = harness.cache.statistics()
    #expect(statistics.quantizedPages > 0 && statistics.quantizedPages < statistics.pages)
  }

  @Test("codes follow from the tokens and not from who else is there")
  func sharing() throws {
    let harness = try harness()
    let cache = harness.cache
    let first = try cache.makeSequence()
    var identities = try harness.append([(first, 300)])[0].map(\.self)
    let fork = try cache.fork(first)
    let pages = cache.statistics().pages
    // Entries 3 and 4 are plain and shared; each sequence quantises 3 for itself, the other keeps what it has.
    let before = harness.contents(of: fork)
    identities += try harness.append([(first, 50)])[0]
    #expect(harness.forms(of: first) == [true, true, true, true, false, false])
    #expect(harness.forms(of: fork) == [true, true, true, false, false])
    #expect(harness.contents(of: fork) == before)
    #expect(cache.statistics().pages > pages)
    _ = try harness.append([(fork, 50)])
    #expect(harness.forms(of: fork) == [true, true, true, true, false, false])
    // The same slots give the same codes.
    let entries = [first, fork].map { harness.entries(of: $0, table: 0)[3] }
    #expect(entries[0].page != entries[1].page)
    let copies = entries.map { CodedPage(of: $0, in: cache, layer: 0, head: 1)?.memory.bytes }
    #expect(copies[0] == copies[1] && copies[0] != nil)
    #expect(harness.holds(identities, in: first))
    #expect(cache.checkInvariants() == [])
  }

  @Test("a rewind takes no memory; the next token widens its page, with the values as stored")
  func rewind() throws {
    let harness = try harness(window: 5_000)
    let cache = harness.cache
    let sequence = try cache.makeSequence()
    var identities = try harness.append([(sequence, 700)])[0].map(\.self)
    let fork = try cache.fork(sequence)
    let bytes = cache.byteCount
    try cache.truncate(sequence, to: 150)
    identities.removeSubrange(150...)
    #expect(cache.byteCount <= bytes)
    #expect(harness.forms(of: sequence) == [true, true, true])
    let entry = harness.entries(of: sequence, table: 0)[2]
    let stored = try #require(CodedPage(of: entry, in: cache, layer: 0, head: 0))
    let both = cache.fingerprint(includingPages: true)

    // Given up, nothing has happened.
    _ = try harness.append([(sequence, 100)], commits: false)
    #expect(cache.fingerprint(includingPages: true) == both)
    #expect(cache.checkInvariants() == [])

    let others = harness.contents(of: fork)
    identities += try harness.append([(sequence, 1)])[0]
    #expect(harness.forms(of: sequence) == [true, true, false])
    #expect(harness.contents(of: fork) == others)
    let widened = harness.entries(of: sequence, table: 0)[2]
    let plain = try #require(CodedPage(of: widened, in: cache, layer: 0, head: 0))
    for slot in entry.slots {
      #expect(
        plain.key(slot: slot)
          == stored.key(slot: slot).map { Double(SlotTwin.rounded(Float($0), .float16)) })
      #expect(
        plain.value(slot: slot)
          == stored.value(slot: slot).map { Double(SlotTwin.rounded(Float($0), .float16)) })
    }
    #expect(harness.holds(identities, in: sequence))
    // And is quantised again in its turn.
    identities += try harness.append([(sequence, 200)])[0]
    #expect(harness.forms(of: sequence) == [true, true, true, true, false, false])
    #expect(harness.holds(identities, in: sequence))
    #expect(cache.checkInvariants() == [])
  }

  @Test("a removal inside a page leaves it plain until the next step, and its siblings alone")
  func removal() throws {
    let harness = try harness()
    let cache = harness.cache
    let sequence = try cache.makeSequence(startingAt: 200_000)
    var identities = try harness.append([(sequence, 500)])[0].map(\.self)
    let fork = try cache.fork(sequence)
    let others = harness.contents(of: fork)
    try cache.remove(70..<90, from: sequence)
    identities.removeSubrange(70..<90)
    #expect(harness.forms(of: sequence) == [true, false, true, true, true, true, false, false])
    #expect(harness.holds(identities, in: sequence))
    identities += try harness.append([(sequence, 1)])[0]
    #expect(harness.forms(of: sequence) == [true, true, true, true, true, true, false, false])
    #expect(harness.holds(identities, in: sequence))
    // Two pages that are nearly empty become one.
    let merges = cache.statistics().merges
    try cache.remove(50..<150, from: sequence)
    identities.removeSubrange(50..<150)
    try cache.remove(5..<45, from: sequence)
    identities.removeSubrange(5..<45)
    #expect(cache.statistics().merges > merges)
    #expect(harness.holds(identities, in: sequence))
    identities += try harness.append([(sequence, 130)])[0]
    #expect(harness.holds(identities, in: sequence))
    #expect(harness.contents(of: fork) == others)
    #expect(cache.checkInvariants() == [])
  }

  @Test("sinks and a recent window stay in full precision where that is asked for")
  func precision() throws {
    let harness = try harness(fullPrecision: FullPrecision(first: 70, last: 200))
    let sequence = try harness.cache.makeSequence()
    let identities = try harness.append([(sequence, 900)])[0].map(\.self)
    // 15 pages: 70 tokens reach into the second, token 700 is in the eleventh.
    #expect(
      harness.forms(of: sequence)
        == [false, false] + [Bool](repeating: true, count: 8)
        + [Bool](repeating: false, count: 5))
    #expect(harness.holds(identities, in: sequence))
    #expect(throws: CacheError.invalidTokenCount(received: -1)) {
      try KVCache(
        layers: harness.cache.layers, fullPrecision: FullPrecision(first: 0, last: -1))
    }
  }

  @Test("a page with a number that is not finite keeps its form, and others do not")
  func infinity() throws {
    let shape = LayerShape(
      kvHeads: 2, keyWidth: 8, keyType: .int8, valueType: .int4, keyPositions: .none)
    let cache = try KVCache(layers: [shape], stripes: [nil], memoryLimit: 1 << 26)
    let engine = try AttentionEngine(
      cache: cache, layers: [LayerAttention(queryHeads: 2)], workers: Workers(count: 2))
    let sequence = try cache.makeSequence()
    var generator = SeededGenerator(seed: 3)
    var rows = generator.normalFloats(400 * 16)
    rows[100 * 16 + 11] = .infinity
    try engine.begin([StepRequest(sequence, appending: 400, querying: 0)])
    try engine.append(layer: 0, keys: rows.span, values: rows.span)
    engine.commit()
    var forms: [Bool] = []
    try cache.forEachLiveEntry(of: sequence, table: 0) { forms.append($0.isCoded) }
    #expect(forms == [true, false, true, true, true, false, false])
    #expect(cache.checkInvariants() == [])
  }

  @Test("a step that finds no memory for its codes leaves everything as it was")
  func limit() throws {
    let harness = try harness(memoryLimit: 6 << 20)
    let cache = harness.cache
    let sequence = try cache.makeSequence()
    var refusals = 0
    for step in [640, 64, 1] {
      while true {
        let before = cache.fingerprint(includingPages: false)
        do {
          _ = try harness.append([(sequence, step)])
        } catch AttentionError.cache(.outOfMemory) {
          #expect(cache.fingerprint(includingPages: false) == before)
          refusals += 1
          break
        }
      }
    }
    #expect(refusals == 3 && cache.checkInvariants() == [])
    // A quantised cache holds more than one in f16 would: 150 bytes of a token's keys and values.
    #expect(try cache.length(of: sequence) > 20_000)
    try cache.keep(first: 4, last: 1_000, of: sequence)
    _ = try harness.append([(sequence, 640)])
    #expect(cache.checkInvariants() == [])
    try cache.drop(sequence)
    #expect(cache.byteCount == 0 && cache.formulaBytes == 0)
  }
}
