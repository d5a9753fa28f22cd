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

    /// One extent for each sequence, layer and KV head: the newest of each table, and two groups for each layer and node.
    var allowance: Int {
      var bytes = 2 * Arena.groupBytes * cache.layers.count * cache.stripes.count
      for case let state? in cache.sequences {
        for table in state.tables where table.extent != PageTable.noExtent {
          let extent = table.pool.extents[Int(table.extent)]
          bytes += Int(extent.pageCount) * table.pool.setBytes(extent.isCoded ? .coded : .plain)
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
      #expect(cache.byteCount <= bound)
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
      #expect(cache.byteCount == 0 && cache.formulaBytes == 0)
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
        cache.byteCount <= (hasWindow ? subject.peak : cache.formulaBytes) + subject.allowance)
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
      #expect(cache.byteCount <= subject.bound)
    }
    #expect(cache.checkInvariants() == [])
    try subject.end()
  }
}
