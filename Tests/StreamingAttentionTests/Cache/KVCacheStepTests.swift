import StreamingAttention
import TestSupport
import Testing

@Suite("Steps of the cache")
struct KVCacheStepTests {
  #if DEBUG
  private static let isOptimized = false
  #else
  private static let isOptimized = true
  #endif

  @Test("a sequence of n tokens has ⌈n ÷ 64⌉ entries", arguments: [0, 1, 63, 64, 65, 513, 2_049])
  func entryCount(length: Int) throws {
    let harness = try CacheHarness([
      LayerShape(
        kvHeads: 2, keyWidth: 16, keyType: .float16, valueType: .float16, keyPositions: .none)
    ])
    let sequence = try harness.cache.makeSequence()
    try harness.append(Array(0..<length), to: sequence)
    let entries = harness.entries(of: sequence)
    #expect(entries.count == (length + 63) / 64)
    #expect(entries.map(\.number) == Array(entries.indices))
    #expect(entries.map(\.basePosition) == entries.indices.map { $0 * 64 })
    #expect(entries.allSatisfy { $0.anchor == 0 && $0.epoch == 1 })
    #expect(entries.reduce(0) { $0 + $1.slots.count } == length)
    // 64 slots × 16 channels × 2 bytes × (key and value) × 2 heads.
    #expect(harness.cache.formulaBytes == entries.count * 64 * 16 * 2 * 2 * 2)
    #expect(try harness.cache.length(of: sequence) == length)
    #expect(harness.cache.checkInvariants() == [])
  }

  @Test("a step's slots show before it commits, and length follows at the commit")
  func reservedSlots() throws {
    let harness = try CacheHarness()
    let sequence = try harness.cache.makeSequence()
    try harness.append(Array(0..<70), to: sequence)
    let reservation = try harness.reserve([(sequence, Array(70..<200))])
    #expect(harness.entries(of: sequence).map(\.slots) == [0..<64, 0..<64, 0..<64, 0..<8])
    #expect(try harness.cache.length(of: sequence) == 70)
    #expect(try harness.cache.nextPosition(of: sequence) == 70)
    #expect(harness.cache.checkInvariants() == [])
    harness.cache.commit(reservation)
    #expect(try harness.cache.length(of: sequence) == 200)
    #expect(try harness.cache.nextPosition(of: sequence) == 200)
    #expect(harness.holds(Array(0..<200), distances: Array(0..<200), in: sequence))
  }

  @Test(
    "one append equals many, bit for bit in whole pages", arguments: [[1], [7], [64], [63, 2]])
  func chunks(sizes: [Int]) throws {
    let tokens = Array(0..<331)
    let whole = try CacheHarness()
    let parts = try CacheHarness()
    let (a, b) = (try whole.cache.makeSequence(), try parts.cache.makeSequence())
    try whole.append(tokens, to: a)
    var (start, turn) = (0, 0)
    while start < tokens.count {
      let end = min(start + sizes[turn % sizes.count], tokens.count)
      try parts.append(Array(tokens[start..<end]), to: b)
      (start, turn) = (end, turn + 1)
      #expect(parts.cache.checkInvariants() == [])
    }
    for (layer, shape) in whole.cache.layers.enumerated() {
      let table = whole.cache.table(ofLayer: layer)
      let newest = zip(
        whole.entries(of: a, table: table).reversed(), parts.entries(of: b, table: table).reversed()
      )
      for (x, y) in newest {
        #expect(x.slots == y.slots && x.basePosition == y.basePosition && x.number == y.number)
        for head in 0..<shape.kvHeads {
          #expect(
            whole.pageBytes(layer: layer, head: head, page: x.page)
              == parts.pageBytes(layer: layer, head: head, page: y.page))
        }
      }
    }
  }

  @Test("a step given up leaves tables, addresses and committed bytes as they were")
  func abandon() throws {
    let harness = try CacheHarness()
    let sequences = try (0..<3).map { _ in try harness.cache.makeSequence() }
    for (index, sequence) in sequences.enumerated() {
      try harness.append(Array(0..<100 * index + 64), to: sequence)
    }
    let extra = try harness.cache.makeSequence()
    try harness.append(Array(0..<700), to: extra)
    try harness.cache.drop(extra)  // leaves free numbers and ranges behind
    let before = harness.fingerprint(of: sequences)
    var during: [CacheHarness.Fingerprint] = []
    for _ in 0..<3 {
      let reservation = try harness.reserve([
        (sequences[2], Array(0..<1_000)), (sequences[0], [1]), (sequences[1], Array(0..<900)),
      ])
      #expect(harness.cache.checkInvariants() == [])
      during.append(harness.fingerprint(of: sequences))
      harness.cache.abandon(reservation)
      #expect(harness.cache.checkInvariants() == [])
      #expect(harness.fingerprint(of: sequences) == before)
    }
    // Free lists are as before, too: the same step gets the same pages at the same addresses.
    #expect(during[0] == during[1] && during[1] == during[2])
    for (index, sequence) in sequences.enumerated() {
      let tokens = Array(0..<100 * index + 64)
      #expect(harness.holds(tokens, distances: tokens, in: sequence))
    }
  }

  @Test("tables of the same retention are one, and a window gives old pages back")
  func retention() throws {
    let harness = try CacheHarness()
    #expect(harness.cache.tableCount == 2)
    #expect((0..<3).map(harness.cache.table(ofLayer:)) == [0, 1, 0])
    let sequence = try harness.cache.makeSequence()
    for token in 0..<1_500 {
      try harness.append([token], to: sequence)
      let window = harness.entries(of: sequence, table: 1)
      // Window 130 and one page of slack: all of the newest 194 positions, at most an entry more.
      #expect(window[0].basePosition <= max(token + 1 - 194, 0))
      #expect(window.count <= 5)
    }
    #expect(harness.entries(of: sequence, table: 0).count == 24)
    #expect(harness.entries(of: sequence, table: 1).first?.number == 20)
    #expect(harness.holds(Array(0..<1_500), distances: Array(0..<1_500), in: sequence))
    #expect(harness.cache.checkInvariants() == [])
  }

  @Test("pages of an extent follow each other in memory, for each layer and KV head")
  func consecutivePages() throws {
    let harness = try CacheHarness()
    let (a, b) = (try harness.cache.makeSequence(), try harness.cache.makeSequence())
    for step in 0..<70 {
      for sequence in [a, b] { try harness.append(Array(64 * step..<64 * step + 64), to: sequence) }
    }
    for (layer, shape) in harness.cache.layers.enumerated() where shape.retention == .everything {
      let bytes = UInt(harness.cache.layout(ofLayer: layer).pageBytes)
      for (sequence, head) in [(a, 0), (a, shape.kvHeads - 1), (b, 0)] {
        let addresses = harness.entries(of: sequence).map {
          harness.address(layer: layer, head: head, page: $0.page)
        }
        let breaks = (1..<70).filter { addresses[$0] != addresses[$0 - 1] + bytes }
        #expect(breaks.allSatisfy { [1, 2, 4, 8, 16, 32, 64].contains($0) })
        #expect(addresses.allSatisfy { $0 % 64 == 0 })
      }
    }
  }

  @Test("positions reach 262,143 and the start of a sequence is free to choose")
  func farPositions() throws {
    let harness = try CacheHarness()
    let sequence = try harness.cache.makeSequence(startingAt: 262_143 - 99)
    try harness.append(Array(0..<100), to: sequence)
    let entries = harness.entries(of: sequence)
    #expect(entries.map(\.basePosition) == [262_044, 262_108])
    #expect(entries.map(\.anchor) == [0, 0])
    #expect(try harness.cache.nextPosition(of: sequence) == 262_144)
    #expect(harness.holds(Array(0..<100), distances: Array(262_044...262_143), in: sequence))

    let long = try harness.cache.makeSequence()
    harness.cache.commit(
      try harness.cache.reserve([SlotRequest(long, appending: 100_000)]))
    #expect(harness.entries(of: long).last?.basePosition == 99_968)
    #expect(harness.cache.checkInvariants() == [])
  }

  // Without optimisation every loop over an array allocates its iterator's frame.
  @Test(
    "a single-token step allocates nothing in the steady state",
    .enabled(if: AllocationCount.isAvailable && isOptimized))
  func noAllocation() throws {
    let cache = try KVCache(layers: CacheHarness.mixedLayers, memoryLimit: 64 << 20)
    let requests = try (0..<3).map { _ in SlotRequest(try cache.makeSequence(), appending: 1) }
    for _ in 0..<65 { cache.commit(try cache.reserve(requests)) }
    let kernels = SlotTwin.kernels
    let count = try AllocationCount.during {
      for _ in 65..<128 {
        let reservation = try cache.reserve(requests)
        for request in requests.indices {
          for layer in cache.layers.indices {
            let writer = unsafe cache.slotWriter(request: request, layer: layer, kernels: kernels)
            precondition(unsafe writer.pageCount == 1)
          }
        }
        cache.commit(reservation)
      }
    }
    #expect(count == 0)
  }
}
