import Memory
import StreamingAttention
import Testing

@Suite("Memory of the cache")
struct KVCacheMemoryTests {
  /// Pages of 16 KiB, two KV heads, two layers: 64 KiB a page set.
  static let layers = [LayerShape](
    repeating: LayerShape(
      kvHeads: 2, keyWidth: 64, keyType: .float16, valueType: .float16, keyPositions: .none),
    count: 2)

  @Test("while sequences grow, committed bytes stay within an extent and two groups of the formula")
  func growthBound() throws {
    let harness = try CacheHarness(Self.layers, memoryLimit: 1 << 30)
    let cache = harness.cache
    let sequences = try (0..<5).map { _ in try cache.makeSequence() }
    var steps = 0
    for round in 0..<120 {
      for (index, sequence) in sequences.enumerated() where round % (index + 1) == 0 {
        cache.commit(try cache.reserve([SlotRequest(sequence, appending: 64)]))
        steps += 1
        let extents = sequences.reduce(0) { sum, sequence in
          sum + Self.openExtent(pages: harness.entries(of: sequence).count)
        }
        let bound = cache.formulaBytes + extents * 4 * 16_384 + 2 * 2 * (2 << 20)
        #expect(cache.byteCount <= bound)
      }
    }
    #expect(cache.checkInvariants() == [])
    #expect(cache.formulaBytes == steps * 65_536)
    #expect(cache.peakByteCount == cache.byteCount)
    for sequence in sequences { try cache.drop(sequence) }
    #expect(cache.byteCount == 0 && cache.formulaBytes == 0)
    #expect(cache.checkInvariants() == [])
  }

  /// Pages of the extent that a sequence of so many pages, all of them written by itself, has open.
  private static func openExtent(pages: Int) -> Int {
    var (first, size) = (0, 0)
    while first < pages {
      size = ExtentRule.pageCount(firstEntry: first, pagesWritten: first, largest: 32)
      first += size
    }
    return size
  }

  @Test("a refusal at the limit leaves everything as it was, and the cache goes on")
  func limit() throws {
    let harness = try CacheHarness(Self.layers, memoryLimit: 16 << 20)
    let cache = harness.cache
    let (a, b) = (try cache.makeSequence(), try cache.makeSequence())
    cache.commit(try cache.reserve([SlotRequest(a, appending: 70 * 64)]))
    let before = harness.fingerprint(of: [a, b])
    // 256 page sets fit, 70 are there: refused before anything is committed. The 257 pages of a layer, of 32 KiB, begin a fifth group.
    #expect(
      throws: CacheError.outOfMemory(needed: 2 * 5 * (2 << 20), allowed: 16 << 20)
    ) { try cache.reserve([SlotRequest(a, appending: 1), SlotRequest(b, appending: 186 * 64)]) }
    #expect(harness.fingerprint(of: [a, b]) == before)
    #expect(cache.checkInvariants() == [])
    // The pages would fit, the extents they need do not: refused in the middle, and taken back.
    #expect(throws: CacheError.self) {
      try cache.reserve([SlotRequest(b, appending: 130 * 64), SlotRequest(a, appending: 27 * 64)])
    }
    #expect(harness.fingerprint(of: [a, b]) == before)
    #expect(cache.checkInvariants() == [])
    cache.commit(try cache.reserve([SlotRequest(a, appending: 26 * 64)]))
    try cache.drop(a)
    cache.commit(try cache.reserve([SlotRequest(b, appending: 128 * 64)]))
    #expect(cache.checkInvariants() == [])
    #expect(cache.byteCount <= 16 << 20)
  }

  @Test(
    "a refusal names what the whole step needs, and with so much it goes on",
    arguments: [1, 2 << 20, (6 << 20) - 1])
  func refusedFirstStep(limit: Int) throws {
    let layers = Self.layers + Self.layers.prefix(1)
    let refused = try CacheHarness(layers, memoryLimit: limit).cache
    let sequence = try refused.makeSequence()
    let error = #expect(throws: CacheError.self) {
      try refused.reserve([SlotRequest(sequence, appending: 65)])
    }
    #expect(error == .outOfMemory(needed: 3 * (2 << 20), allowed: limit))
    #expect(refused.checkInvariants() == [] && refused.byteCount == 0)
    let cache = try CacheHarness(layers, memoryLimit: 3 * (2 << 20)).cache
    let other = try cache.makeSequence()
    cache.commit(try cache.reserve([SlotRequest(other, appending: 65)]))
    #expect(cache.byteCount == 3 * (2 << 20))
  }

  @Test("a refusal in the middle names what the extent needs in all layers")
  func refusedExtent() throws {
    let layers = Self.layers + Self.layers.prefix(1)
    // Extents of 32 pages take 1 MiB of a layer: two of them are a group, behind 4,096 tokens each layer begins another.
    var limit = 3 * (2 << 20)
    for _ in 0..<3 {
      let cache = try CacheHarness(layers, memoryLimit: limit).cache
      let sequence = try cache.makeSequence()
      var error: CacheError?
      do throws(CacheError) {
        while true { cache.commit(try cache.reserve([SlotRequest(sequence, appending: 64)])) }
      } catch let refusal {
        error = refusal
      }
      let length = try cache.length(of: sequence)
      #expect(length == 4096 * limit / (3 * (2 << 20)))
      let needed = limit + 3 * (2 << 20)
      #expect(error == .outOfMemory(needed: needed, allowed: limit))
      #expect(cache.byteCount == limit && cache.checkInvariants() == [])
      limit = needed
    }
  }

  @Test("extents are striped over four nodes by leaf, each node in regions of its own")
  func striping() throws {
    let harness = try CacheHarness(
      Self.layers, stripes: [nil, nil, nil, nil], memoryLimit: 256 << 20)
    let sequence = try harness.cache.makeSequence()
    harness.cache.commit(
      try harness.cache.reserve([SlotRequest(sequence, appending: 64 * 32 * 10)]))
    var addresses = [[UInt]](repeating: [], count: 4)
    for entry in harness.entries(of: sequence) {
      let stripe = entry.number / 32 % 4
      #expect(harness.cache.stripe(ofEntry: entry.number) == stripe)
      for head in 0..<2 {
        addresses[stripe].append(harness.address(layer: 1, head: head, page: entry.page))
      }
    }
    #expect(addresses.map(\.count) == [3 * 64, 3 * 64, 2 * 64, 2 * 64])
    // Leaves 0, 4, 8 lie on node 0: no address of one node lies among those of another.
    let ranges = addresses.map { ($0.min() ?? 0)...($0.max() ?? 0) }
    for (i, a) in ranges.enumerated() {
      for b in ranges[(i + 1)...] { #expect(!a.overlaps(b)) }
    }
    #expect(harness.cache.checkInvariants() == [])
    try harness.cache.drop(sequence)
    #expect(harness.cache.byteCount == 0)
  }

  @Test("a placement names the nodes that have memory; on one node nothing of it shows")
  func stripes() throws {
    // Node 1 has no memory, node 3 no CPU.
    let four = Topology(
      nodes: (0..<4).map { number in
        Topology.Node(
          number: number, cpus: number == 3 ? [] : [number],
          memoryBytes: number == 1 ? 0 : 8 << 30)
      })
    #expect(try four.stripes(for: .automatic) == [0, 2])
    #expect(try four.stripes(for: .interleave) == [0, 2, 3])
    #expect(try four.stripes(for: .bind(node: 3)) == [3])
    #expect(throws: CacheError.unknownNode(received: 1, allowed: [0, 2, 3])) {
      try four.stripes(for: .bind(node: 1))
    }
    let one = Topology(nodes: [Topology.Node(number: 0, cpus: [0], memoryBytes: 8 << 30)])
    for placement in [CachePlacement.automatic, .interleave, .bind(node: 0)] {
      #expect(try one.stripes(for: placement) == [nil])
    }
  }

  @Test("bad shapes, nodes, limits, sequences and counts are refused by name")
  func refusals() throws {
    let good = Self.layers[0]
    var bad = good
    bad.keyWidth = 0
    #expect(throws: CacheError.noLayers) { try KVCache(layers: []) }
    #expect(
      throws: CacheError.invalidShape(
        layer: 1, part: .keyWidth, received: 0, allowed: 1...65_536)
    ) { try KVCache(layers: [good, bad]) }
    bad = good
    bad.keyPositions = .rotary(pairs: 33, pairing: .halves)
    #expect(
      throws: CacheError.invalidShape(layer: 0, part: .rotaryPairs, received: 33, allowed: 0...32)
    ) { try KVCache(layers: [bad]) }
    bad = good
    bad.retention = .window(0)
    #expect(throws: CacheError.self) { try KVCache(layers: [bad]) }
    #expect(throws: CacheError.invalidMemoryLimit(received: 0)) {
      try KVCache(layers: [good], memoryLimit: 0)
    }
    let cache = try KVCache(layers: [good], memoryLimit: 16 << 20)
    let other = try KVCache(layers: [good], memoryLimit: 16 << 20)
    let sequence = try cache.makeSequence()
    let dropped = try cache.makeSequence()
    try cache.drop(dropped)
    let successor = try cache.makeSequence()
    #expect(successor != dropped)
    #expect(throws: CacheError.unknownSequence(dropped)) { try cache.drop(dropped) }
    #expect(throws: CacheError.unknownSequence(sequence)) { try other.length(of: sequence) }
    #expect(throws: CacheError.invalidTokenCount(received: -1)) {
      try cache.reserve([SlotRequest(sequence, appending: -1)])
    }
    #expect(throws: CacheError.repeatedSequence(sequence)) {
      try cache.reserve([SlotRequest(sequence, appending: 1), SlotRequest(sequence, appending: 1)])
    }
    #expect(throws: CacheError.self) { try cache.makeSequence(startingAt: -1) }
    let last = try cache.makeSequence(startingAt: KVCache.positions.upperBound)
    #expect(
      throws: CacheError.positionOutOfRange(
        received: KVCache.positions.upperBound + 1, allowed: KVCache.positions)
    ) { try cache.reserve([SlotRequest(last, appending: 2)]) }
    let reservation = try cache.reserve([SlotRequest(last, appending: 1)])
    #expect(throws: CacheError.stepInProgress) { try cache.reserve([]) }
    #expect(throws: CacheError.stepInProgress) { try cache.drop(sequence) }
    #expect(throws: CacheError.stepInProgress) { try cache.rebase(sequence, by: 1) }
    cache.commit(reservation)
    #expect(cache.sequenceCount == 3)
    #expect(cache.checkInvariants() == [])
  }
}
