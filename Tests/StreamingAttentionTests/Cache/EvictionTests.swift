import Memory
import TestSupport
import Testing

@testable import StreamingAttention

@Suite("Eviction of pages")
struct EvictionTests {
  private static func page(
    _ number: Int, mass: Double, latest: Double = 0, isProtected: Bool = false
  ) -> CachedPage {
    CachedPage(
      tokens: 64 * number..<64 * (number + 1), mass: mass, latestMass: latest,
      isProtected: isProtected)
  }

  private static func kept(_ policy: EvictionPolicy, _ pages: [CachedPage], _ count: Int) -> [Int] {
    policy.choice(pages, count).sorted()
  }

  @Test("recent keeps the newest pages and what is protected")
  func recent() {
    let pages = (0..<8).map { Self.page($0, mass: 1, isProtected: $0 == 0 || $0 == 7) }
    #expect(Self.kept(.recent, pages, 4) == [0, 5, 6, 7])
    #expect(Self.kept(.recent, pages, 0) == [])
    #expect(Self.kept(.recent, pages, 99) == Array(0..<8))
    #expect(Self.kept(.recent, [], 3) == [])
  }

  @Test("heavy hitters are half the newest pages, half those with most attention in all steps")
  func heavyHitters() {
    let masses = [5.0, 1, 9, 2, 7, 0, 0, 0]
    let pages = masses.indices.map {
      Self.page($0, mass: masses[$0], latest: -masses[$0], isProtected: $0 == 7)
    }
    #expect(Self.kept(.heavyHitters, pages, 4) == [2, 4, 6, 7])
    #expect(Self.kept(.heavyHitters, pages, 6) == [0, 2, 4, 5, 6, 7])
    #expect(Self.kept(.heavyHitters, pages, 1) == [7])
  }

  @Test("an observation window keeps what it has looked at latest, and what surrounds that")
  func observationWindow() {
    let latest = [0.0, 0, 9, 0, 0, 0, 3, 0, 0, 0]
    let pages = latest.indices.map {
      Self.page($0, mass: -latest[$0], latest: latest[$0], isProtected: $0 == 9)
    }
    #expect(Self.kept(.observationWindow, pages, 4) == [1, 2, 3, 9])
    #expect(Self.kept(.observationWindow(pooling: 0), pages, 3) == [2, 6, 9])
    #expect(Self.kept(.observationWindow(pooling: 0), pages, 4) == [2, 6, 8, 9])
    #expect(Self.kept(.observationWindow(pooling: 1_000_000), pages, 2) == [8, 9])
  }

  /// A sequence of 20 pages, two tokens short.
  private static func filled() throws -> (OperationHarness, SequenceID) {
    let harness = try OperationHarness(seed: 4)
    let sequence = try harness.cache.makeSequence(startingAt: 1000)
    for _ in 0..<9 { _ = try harness.append([(sequence, 142)]) }
    return (harness, sequence)
  }

  @Test("leaves positions, length and the other tables as they are, and shares what it gives up")
  func positions() throws {
    let (harness, sequence) = try Self.filled()
    let cache = harness.cache
    let fork = try cache.fork(sequence)
    let before = harness.entries(of: sequence, table: 0)
    let windowed = harness.entries(of: sequence, table: 1)
    let forkBefore = harness.entries(of: fork, table: 0)
    try cache.evict(pages: [1, 2, 7, 18], from: sequence, layer: 2)
    let after = harness.entries(of: sequence, table: 0)
    #expect(after == before.indices.filter { ![1, 2, 7, 18].contains($0) }.map { before[$0] })
    #expect(harness.entries(of: sequence, table: 1) == windowed)
    #expect(harness.entries(of: fork, table: 0) == forkBefore)
    #expect(try cache.length(of: sequence) == 1278)
    #expect(try cache.nextPosition(of: sequence) == 2278)
    #expect(cache.checkInvariants() == [])
    #expect(cache.statistics().evictions == 4)
    _ = try harness.append([(sequence, 100)])
    #expect(cache.checkInvariants() == [])
    try cache.drop(fork)
    try cache.drop(sequence)
    #expect(cache.byteCount == 0 && cache.statistics().extents == 0)
  }

  @Test("numbers later pages anew by whole leaves once little is left between")
  func renumbering() throws {
    let harness = try OperationHarness(seed: 4)
    let cache = harness.cache
    let sequence = try cache.makeSequence()
    for _ in 0..<8 { _ = try harness.append([(sequence, 1000)]) }
    #expect(harness.entries(of: sequence, table: 0).count == 125)
    try cache.evict(pages: Array(10..<110), from: sequence, layer: 0)
    let numbers = harness.entries(of: sequence, table: 0).map(\.number)
    // A hole of 100 entries closes by 96.
    #expect(numbers == Array(0..<10) + Array(14..<29))
    try cache.evict(pages: Array(0..<5), from: sequence, layer: 0)
    #expect(harness.entries(of: sequence, table: 0).map(\.number) == Array(5..<10) + Array(14..<29))
    #expect(cache.checkInvariants() == [])
  }

  @Test("refuses sinks, pinned tokens, the newest page, windows and what is not there")
  func refusals() throws {
    let (harness, sequence) = try Self.filled()
    let cache = harness.cache
    try cache.keep(first: 70, last: 1200, of: sequence)
    try cache.pin(300..<301, of: sequence)
    let pages = try cache.pages(of: sequence, layer: 0)
    let isProtected = pages.map {
      $0.tokens.lowerBound < 70 || $0.tokens.contains(300) || $0 == pages.last
    }
    #expect(pages.map(\.isProtected) == isProtected)
    let before = cache.fingerprint(includingPages: true)
    for number in pages.indices where pages[number].isProtected {
      #expect(
        throws: CacheError.protectedPage(received: number, tokens: pages[number].tokens)
      ) { try cache.evict(pages: [3, number], from: sequence, layer: 0) }
    }
    #expect(throws: CacheError.unknownEntry(received: pages.count)) {
      try cache.evict(pages: [pages.count], from: sequence, layer: 0)
    }
    #expect(throws: CacheError.unknownEntry(received: -1)) {
      try cache.evict(pages: [-1], from: sequence, layer: 0)
    }
    #expect(throws: CacheError.windowedLayer(1)) {
      try cache.evict(from: sequence, layer: 1, to: 1, by: .recent)
    }
    #expect(throws: CacheError.unknownLayer(received: 3, allowed: 0..<3)) {
      try cache.evict(from: sequence, layer: 3, to: 1, by: .recent)
    }
    #expect(throws: CacheError.invalidPageCount(received: -1)) {
      try cache.evict(from: sequence, layer: 0, to: -1, by: .recent)
    }
    #expect(
      "\(CacheError.invalidPageCount(received: -1))"
        == "cannot leave -1 pages; the number must not be negative")
    #expect(cache.fingerprint(includingPages: true) == before)
    // A policy that keeps nothing, or names what is not there, leaves what is protected.
    let nothing = EvictionPolicy { _, _ in [-5, 1_000_000] }
    let gone = try cache.evict(from: sequence, layer: 0, to: 0, by: nothing)
    #expect(gone == isProtected.filter { !$0 }.count)
    #expect(try cache.pages(of: sequence, layer: 0).allSatisfy(\.isProtected))
    #expect(cache.checkInvariants() == [])
  }

  @Test("a rewind to an evicted token is refused and names the next length that is possible")
  func rewind() throws {
    let (harness, sequence) = try Self.filled()
    let cache = harness.cache
    try cache.evict(pages: [10, 11], from: sequence, layer: 0)
    let before = cache.fingerprint(includingPages: true)
    // The window of 130 tokens has been released up to 1,086.
    #expect(throws: CacheError.self) { try cache.truncate(sequence, to: 700) }
    #expect(cache.fingerprint(includingPages: true) == before)

    let plain = try KVCache(
      layers: [
        LayerShape(
          kvHeads: 1, keyWidth: 8, keyType: .float32, valueType: .float32, keyPositions: .none)
      ], stripes: [nil], memoryLimit: 1 << 26)
    let other = try plain.makeSequence()
    plain.commit(try plain.reserve([SlotRequest(other, appending: 640)]))
    try plain.evict(pages: [3, 4, 6], from: other, layer: 0)
    #expect(throws: CacheError.lengthReleased(received: 300, shortest: 321)) {
      try plain.truncate(other, to: 300)
    }
    #expect(throws: CacheError.lengthReleased(received: 448, shortest: 449)) {
      try plain.truncate(other, to: 448)
    }
    try plain.truncate(other, to: 350)
    #expect(plain.checkInvariants() == [])
    #expect(throws: CacheError.lengthReleased(received: 256, shortest: 321)) {
      try plain.keep(first: 256, last: 0, of: other)
    }
    try plain.truncate(other, to: 100)
    try plain.truncate(other, to: 0)
    plain.commit(try plain.reserve([SlotRequest(other, appending: 640)]))
    #expect(plain.checkInvariants() == [])
  }

  @Test("rows of tokens before the last gap are refused, the others attend to what is left")
  func rows() throws {
    let example = AttentionCase(
      keyType: .float32, valueType: .float32, group: 2, length: 900, rows: 3, seed: 5)
    let harness = try EngineHarness(example)
    let cache = harness.engine.cache
    let sequence = try harness.fill(example, 897)
    try cache.evict(pages: [2, 3, 9], from: sequence, layer: 0)
    let request = HarnessRequest(sequence, example, tokens: 897..<900, rows: 0..<3)
    let result = try harness.step([request])[0]
    // The twin reads what is stored.
    #expect(try example.ratios(of: result, sequence, in: harness).output <= 1)
    // Pages 10 to 14 are 260 tokens.
    try harness.engine.begin([StepRequest(sequence, appending: 0, querying: 260)])
    harness.engine.abandon()
    #expect(throws: AttentionError.self) {
      try harness.engine.begin([StepRequest(sequence, appending: 0, querying: 261)])
    }
    try harness.engine.begin([StepRequest(sequence, appending: 10, querying: 270)])
    harness.engine.abandon()
  }

  @Test("layers with tables of their own evict by themselves")
  func ownTables() throws {
    var layers = [LayerShape](
      repeating: LayerShape(
        kvHeads: 1, keyWidth: 8, keyType: .float32, valueType: .float32, keyPositions: .none),
      count: 3)
    layers[2].pageTable = 7
    let cache = try KVCache(layers: layers, stripes: [nil], memoryLimit: 1 << 26)
    #expect(cache.tableCount == 2)
    let sequence = try cache.makeSequence()
    cache.commit(try cache.reserve([SlotRequest(sequence, appending: 640)]))
    let formula = cache.formulaBytes
    #expect(try cache.evict(from: sequence, layer: 2, to: 4, by: .recent) == 6)
    #expect(
      try cache.pages(of: sequence, layer: 2).map(\.tokens.lowerBound) == [384, 448, 512, 576])
    #expect(try cache.pages(of: sequence, layer: 0).count == 10)
    #expect(formula - cache.formulaBytes == 6 * 64 * (8 + 16) * 4)
    #expect(cache.checkInvariants() == [])
    try cache.truncate(sequence, to: 500)
    #expect(throws: CacheError.lengthReleased(received: 300, shortest: 385)) {
      try cache.truncate(sequence, to: 300)
    }
    #expect(cache.checkInvariants() == [])
  }
}
