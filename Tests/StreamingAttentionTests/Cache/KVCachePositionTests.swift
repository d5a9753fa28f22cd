import StreamingAttention
import Testing

@Suite("Positions in the cache")
struct KVCachePositionTests {
  @Test("re-basing moves every base position and anchor, and touches no page")
  func rebase() throws {
    let harness = try CacheHarness()
    let (sequence, sibling) = (try harness.cache.makeSequence(), try harness.cache.makeSequence())
    try harness.append(Array(0..<150), to: sequence)
    try harness.append(Array(0..<150), to: sibling)
    let untouched = harness.fingerprint(of: [sibling])
    try harness.cache.rebase(sequence, by: 1_000)
    #expect(harness.entries(of: sequence).map(\.basePosition) == [1_000, 1_064, 1_128])
    #expect(harness.entries(of: sequence).map(\.anchor) == [1_000, 1_000, 1_000])
    // New keys take the anchor of the entry before them.
    try harness.append(Array(150..<260), to: sequence)
    #expect(harness.entries(of: sequence).map(\.anchor) == [1_000, 1_000, 1_000, 1_000, 1_000])
    #expect(try harness.cache.nextPosition(of: sequence) == 1_260)
    #expect(harness.holds(Array(0..<260), distances: Array(0..<260), in: sequence))
    #expect(harness.fingerprint(of: [sibling]).sequences == untouched.sequences)
    #expect(harness.cache.checkInvariants() == [])
  }

  @Test("moving the later entries leaves two runs of anchors")
  func runs() throws {
    let harness = try CacheHarness()
    let sequence = try harness.cache.makeSequence(startingAt: 10)
    try harness.append(Array(0..<200), to: sequence)
    try harness.cache.rebase(sequence, fromEntry: 2, by: 500)
    #expect(harness.entries(of: sequence).map(\.anchor) == [0, 0, 500, 500])
    #expect(harness.entries(of: sequence).map(\.basePosition) == [10, 74, 638, 702])
    try harness.cache.rebase(sequence, fromEntry: 3, by: -20 + 20)
    #expect(throws: CacheError.overlappingPositions(received: -1, allowed: 0...2_147_482_938)) {
      try harness.cache.rebase(sequence, fromEntry: 3, by: -1)
    }
    try harness.cache.rebase(sequence, fromEntry: 2, by: -500)
    #expect(harness.entries(of: sequence).map(\.anchor) == [0, 0, 0, 0])
    try harness.cache.rebase(sequence, by: -10)
    #expect(harness.entries(of: sequence).map(\.anchor) == [-10, -10, -10, -10])
    #expect(throws: CacheError.self) { try harness.cache.rebase(sequence, by: -1) }
    #expect(throws: CacheError.unknownEntry(received: 4)) {
      try harness.cache.rebase(sequence, fromEntry: 4, by: 1)
    }
    try harness.append([200], to: sequence)
    #expect(harness.holds(Array(0..<201), distances: Array(10..<211), in: sequence))
    #expect(harness.cache.checkInvariants() == [])
  }

  @Test("keys with absolute positions cannot be moved")
  func absolute() throws {
    var shape = KVCacheMemoryTests.layers[0]
    shape.keyPositions = .absolute
    let cache = try KVCache(
      layers: [KVCacheMemoryTests.layers[0], shape], memoryLimit: 16 << 20)
    let sequence = try cache.makeSequence()
    cache.commit(try cache.reserve([SlotRequest(sequence, appending: 3)]))
    #expect(throws: CacheError.absolutePositions(layer: 1)) {
      try cache.rebase(sequence, by: 64)
    }
    #expect(try cache.nextPosition(of: sequence) == 3)
  }
}
