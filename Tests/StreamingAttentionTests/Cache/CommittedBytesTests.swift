import TestSupport
import Testing

@testable import StreamingAttention

/// What a cache commits beside what its formula counts, over random histories.
///
/// Pages are as large as a model's, so that extents and groups of 2 MiB are small beside them; nobody writes them.
@Suite("Committed bytes")
struct CommittedBytesTests {
  struct Kind: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var layers: [LayerShape]
    var stripes: [Int?] = [nil]
  }

  private static func layer(
    _ type: ElementType, _ valueType: ElementType? = nil, retention: Retention = .everything
  ) -> LayerShape {
    LayerShape(
      kvHeads: 2, keyWidth: 128, keyType: type, valueType: valueType ?? type,
      keyPositions: .rotary(pairs: 64, pairing: .halves), retention: retention)
  }

  static let kinds = [
    Kind(testDescription: "f16", layers: [layer(.float16), layer(.float16)]),
    Kind(
      testDescription: "f32 and bf16, the latter with a window",
      layers: [layer(.float32), layer(.bfloat16, retention: .window(2_000))]),
    Kind(testDescription: "int8 and int4", layers: [layer(.int8), layer(.int8, .int4)]),
    Kind(
      testDescription: "f16 on two nodes", layers: [layer(.float16), layer(.float16)],
      stripes: [nil, nil]),
  ]

  /// A cache, and the largest value that its formula has had.
  private struct Subject {
    let cache: KVCache
    var order: [SequenceID] = []
    var peak = 0
    /// The largest value of the formula so far and what may have come beside it.
    var bound = 0
    var random: SeededGenerator

    init(_ kind: Kind, seed: UInt64) throws {
      cache = try KVCache(layers: kind.layers, stripes: kind.stripes, memoryLimit: 4 << 30)
      random = SeededGenerator(seed: seed)
    }

    /// All that is committed, ahead of need too.
    var committed: Int { cache.byteCount + cache.aheadByteCount }

    /// One extent for each sequence, layer and KV head, the newest of each table or the one after it, and two groups for each layer
    /// and node.
    var allowance: Int {
      var bytes = 2 * Arena.groupBytes * cache.layers.count * cache.stripes.count
      for case let state? in cache.sequences {
        for table in state.tables where table.extent != PageTable.noExtent {
          let extent = table.pool.extents[Int(table.extent)]
          bytes +=
            max(Int(extent.pageCount), table.followingPageCount)
            * table.pool.setBytes(extent.isCoded ? .coded : .plain)
        }
      }
      return bytes
    }

    mutating func pick() -> SequenceID { order[random.integer(in: 0..<order.count)] }

    mutating func grow(mostTokens: Int) throws {
      let sequence = pick()
      let bits = mostTokens.trailingZeroBitCount
      let count = random.integer(in: 1..<(2 << random.integer(in: 0..<bits)))
      let reservation = try cache.reserve([SlotRequest(sequence, appending: count)])
      peak = max(peak, cache.formulaBytes)
      bound = max(bound, peak + allowance)
      #expect(committed <= bound)
      // Codes are not made of pages that nobody has written.
      cache.commitUnwritten(reservation)
    }

    mutating func fork() throws {
      let before = cache.byteCount
      order.append(try cache.fork(pick()))
      #expect(cache.byteCount == before)
    }

    mutating func remove() throws {
      let sequence = pick()
      let length = try cache.length(of: sequence)
      guard length > 200 else { return }
      let start = random.integer(in: 0..<length)
      switch random.integer(in: 0..<4) {
      case 0:
        order.removeAll { $0 == sequence }
        try cache.drop(sequence)
        if order.isEmpty { order.append(try cache.makeSequence()) }
      case 1: try? cache.truncate(sequence, to: start)
      case 2:
        // Whole pages, as a context shift takes them: nothing is turned.
        let first = start / 64 * 64
        let end = min(first + 64 * random.integer(in: 1..<20), length / 64 * 64)
        if first < end { try? cache.remove(first..<end, from: sequence) }
      default: try? cache.keep(first: 64, last: max(length / 2 / 64 * 64, 64), of: sequence)
      }
      peak = max(peak, cache.formulaBytes)
      bound = max(bound, peak + allowance)
    }

    /// Drops everything in any order: nothing is left.
    mutating func end() throws {
      for sequence in order.shuffled(using: &random) { try cache.drop(sequence) }
      #expect(committed == 0 && cache.formulaBytes == 0)
      #expect(cache.checkInvariants() == [])
    }
  }

  @Test(
    "stay within an extent and two groups of the formula while sequences grow and fork",
    arguments: kinds, 1..<4 as Range<UInt64>)
  func growth(kind: Kind, seed: UInt64) throws {
    var subject = try Subject(kind, seed: seed)
    let cache = subject.cache
    for _ in 0..<3 { subject.order.append(try cache.makeSequence()) }
    let hasWindow = cache.pools.contains { $0.retention != .everything }
    while cache.formulaBytes < 300 << 20 {
      if subject.order.count < 16, subject.random.integer(in: 0..<8) == 0 { try subject.fork() }
      try subject.grow(mostTokens: 2_048)
      // A table with a window gives back what leaves it: its formula falls while others grow.
      #expect(
        subject.committed <= (hasWindow ? subject.peak : cache.formulaBytes) + subject.allowance)
    }
    #expect(cache.checkInvariants() == [])
    try subject.end()
  }

  @Test(
    "stay within that of the largest value of the formula after removals and drops",
    arguments: kinds, 1..<4 as Range<UInt64>)
  func removals(kind: Kind, seed: UInt64) throws {
    var subject = try Subject(kind, seed: seed)
    let cache = subject.cache
    for _ in 0..<8 { subject.order.append(try cache.makeSequence()) }
    for number in 0..<600 {
      switch subject.random.integer(in: 0..<10) {
      case 0 where subject.order.count < 16: try subject.fork()
      case 1..<4 where number > 150: try subject.remove()
      default: try subject.grow(mostTokens: 1_024)
      }
      #expect(subject.committed <= subject.bound)
    }
    #expect(cache.checkInvariants() == [])
    try subject.end()
  }

  @Test(
    "are committed ahead: a step that goes on to another extent commits none",
    arguments: kinds.filter { kind in !kind.layers.contains { $0.isQuantized } })
  func ahead(kind: Kind) throws {
    let cache = try KVCache(layers: kind.layers, stripes: kind.stripes, memoryLimit: 4 << 30)
    let sequences = try (0..<3).map { _ in try cache.makeSequence() }
    var crossings = 0
    for token in 0..<6_200 {
      let before = cache.byteCount + cache.aheadByteCount
      let extents = cache.sequences.compactMap { $0 }.flatMap { $0.tables.map(\.extent) }
      let reservation = try cache.reserve(sequences.map { SlotRequest($0, appending: 1) })
      let crosses = cache.sequences.compactMap { $0 }.flatMap { $0.tables.map(\.extent) } != extents
      if crosses, token > 0 {
        crossings += 1
        #expect(cache.byteCount + cache.aheadByteCount == before, "token \(token)")
      }
      cache.commitUnwritten(reservation)
    }
    #expect(crossings > 5)
    #expect(cache.checkInvariants() == [])
    // Nobody needs it any more.
    for sequence in sequences { try cache.truncate(sequence, to: 0) }
    #expect(cache.byteCount == 0 && cache.aheadByteCount == 0)
  }

  @Test(
    "that are committed ahead go with the sequences that they were for, whatever their extents' sizes"
  )
  func aheadGoes() throws {
    var layer = Self.layer(.float16)
    layer.kvHeads = 16
    let cache = try KVCache(layers: [layer], stripes: [nil], memoryLimit: 1 << 30)
    let (long, short) = (try cache.makeSequence(), try cache.makeSequence())
    for (sequence, length) in [(long, 32 * 64 + 40), (short, 2 * 64 + 3)] {
      for start in stride(from: 0, to: length, by: 64) {
        cache.commitUnwritten(
          try cache.reserve([SlotRequest(sequence, appending: min(64, length - start))]))
      }
    }
    // Both together are due more than a run of the short one's next extent, but each less than one of its own.
    #expect(cache.aheadByteCount > 0)
    try cache.drop(long)
    #expect(cache.aheadByteCount == 0)
    try cache.drop(short)
    #expect(cache.byteCount == 0 && cache.aheadByteCount == 0)
  }

  @Test("that are committed ahead give way to what is needed now")
  func aheadGivesWay() throws {
    let cache = try KVCache(layers: [Self.layer(.float16)], stripes: [nil], memoryLimit: 8 << 20)
    let first = try cache.makeSequence()
    // Its first extent of 32 pages is full but for a page.
    for _ in 0..<63 {
      cache.commitUnwritten(try cache.reserve([SlotRequest(first, appending: 64)]))
    }
    #expect(cache.aheadByteCount > 0)
    let ahead = cache.aheadByteCount
    let used = cache.byteCount
    let second = try cache.makeSequence()
    var held = 0
    while cache.byteCount + Arena.groupBytes <= 8 << 20, held < 4_096 {
      cache.commitUnwritten(try cache.reserve([SlotRequest(second, appending: 64)]))
      held += 64
      #expect(cache.byteCount + cache.aheadByteCount <= 8 << 20)
    }
    #expect(cache.byteCount > used + ahead)
    #expect(cache.checkInvariants() == [])
  }
}
