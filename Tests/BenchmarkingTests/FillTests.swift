import StreamingAttention
import Testing

@testable import Benchmarking

@Suite struct FillTests {
  /// What a page table shows of one layer and KV head: addresses from the layer's lowest, and the live numbers.
  private struct Pages: Equatable {
    var entries: [LiveEntry] = []
    var offsets: [Int] = []
    var numbers: [[UInt64]] = []
  }

  private static func pages(
    _ cache: KVCache, _ ids: [SequenceID], layer: Int
  ) throws -> [Pages] {
    var result: [Pages] = []
    var lowest = Int.max
    for kvHead in 0..<cache.layers[layer].kvHeads {
      let addresses = unsafe cache.pageAddresses(layer: layer, kvHead: kvHead)
      let stored = StoredPages(cache, layer: layer, kvHead: kvHead)
      for id in ids {
        var pages = Pages()
        var (keys, values): ([Double], [Double]) = ([], [])
        try cache.forEachLiveEntry(of: id, table: cache.table(ofLayer: layer)) { entry in
          let address = unsafe Int(bitPattern: addresses[entry.page])
          lowest = min(lowest, address)
          pages.entries.append(entry)
          pages.offsets.append(address)
          stored.readKeys(of: entry, into: &keys)
          stored.readValues(of: entry, into: &values)
          var numbers: [UInt64] = []
          for slot in entry.slots {
            for row in 0..<stored.keyRows { numbers.append(keys[row * 64 + slot].bitPattern) }
            for channel in 0..<stored.valueWidth {
              numbers.append(values[slot * stored.valueWidth + channel].bitPattern)
            }
          }
          pages.numbers.append(numbers)
        }
        result.append(pages)
      }
    }
    for index in result.indices {
      result[index].offsets = result[index].offsets.map { $0 - lowest }
    }
    return result
  }

  /// Appends the same tokens through the engine, one of every sequence in each step.
  private static func grow(
    _ engine: AttentionEngine, _ lengths: [Int], _ options: FillOptions, queries: Int
  ) throws -> [SequenceID] {
    let source = try SyntheticFill(
      engine: engine,
      sequences: lengths.map { FillSequence(filled: 0, appended: $0, queries: queries) },
      options: options)
    let layers = engine.cache.layers
    let keys = layers.indices.map { source.appendedKeys(layer: $0) }
    let values = layers.indices.map { source.appendedValues(layer: $0) }
    let ids = try lengths.map { _ in try engine.cache.makeSequence() }
    let firsts = lengths.indices.map { lengths[..<$0].reduce(0, +) }
    for token in 0..<(lengths.max() ?? 0) {
      let growing = lengths.indices.filter { token < lengths[$0] }
      try engine.begin(growing.map { StepRequest(ids[$0], appending: 1, querying: 0) })
      for (layer, shape) in layers.enumerated() {
        func rows(_ numbers: [Float], _ width: Int) -> [Float] {
          growing.flatMap {
            numbers[(firsts[$0] + token) * width..<(firsts[$0] + token + 1) * width]
          }
        }
        try engine.append(
          layer: layer, keys: rows(keys[layer], shape.kvHeads * shape.keyWidth).span,
          values: rows(values[layer], shape.kvHeads * shape.valueWidth).span)
      }
      engine.commit()
    }
    return ids
  }

  @Test(
    "a fill stores the bits that appending stores, in pages at the same places",
    arguments: [ElementType.float32, .float16, .bfloat16], FillCase.Positions.allCases)
  func equalsAppending(type: ElementType, positions: FillCase.Positions) throws {
    let example = FillCase(
      keyType: type, valueType: type == .float32 ? .bfloat16 : type, positions: positions,
      group: 4, keyWidth: 24, valueWidth: 70, layerCount: 3)
    let lengths = [1111, 64, 640, 1]
    let grown = try example.engine()
    let options = FillOptions(seed: 5, steepestSlope: 0.5)
    let grownIDs = try Self.grow(grown, lengths, options, queries: 1)
    let filled = try example.engine()
    let fill = try SyntheticFill(
      engine: filled, sequences: lengths.map { FillSequence(filled: $0, queries: 1) },
      options: options)
    let ids = try fill.fill()
    #expect(filled.cache.checkInvariants().isEmpty)
    for layer in 0..<3 {
      let (left, right) = (
        try Self.pages(grown.cache, grownIDs, layer: layer),
        try Self.pages(filled.cache, ids, layer: layer)
      )
      #expect(left.map(\.entries.count) == right.map(\.entries.count))
      #expect(
        left.map { $0.entries.map(\.basePosition) } == right.map { $0.entries.map(\.basePosition) })
      #expect(left.map { $0.entries.map(\.anchor) } == right.map { $0.entries.map(\.anchor) })
      #expect(left.map { $0.entries.map(\.slots) } == right.map { $0.entries.map(\.slots) })
      #expect(left.map(\.offsets) == right.map(\.offsets))
      #expect(left.map(\.numbers) == right.map(\.numbers))
    }
  }

  @Test("any number of workers stores the same bits")
  func workerCounts() throws {
    var stored: [[Pages]] = []
    for count in [1, 2, 3] {
      let engine = try FillCase(layerCount: 2).engine(workers: Workers(count: count))
      let fill = try SyntheticFill(engine: engine, sequences: [FillSequence(filled: 3000)])
      let ids = try fill.fill()
      stored.append(try Self.pages(engine.cache, ids, layer: 0))
    }
    #expect(stored[0].map(\.numbers) == stored[1].map(\.numbers))
    #expect(stored[0].map(\.numbers) == stored[2].map(\.numbers))
  }

  @Test("the anchor changes after every run of slots, and positions leave gaps of one")
  func anchorRuns() throws {
    let engine = try FillCase(layerCount: 2).engine()
    let fill = try SyntheticFill(
      engine: engine, sequences: [FillSequence(filled: 1600, appended: 2)],
      options: FillOptions(anchorRun: 512))
    let id = try fill.fill()[0]
    #expect(engine.cache.checkInvariants().isEmpty)
    var entries: [LiveEntry] = []
    try engine.cache.forEachLiveEntry(of: id, table: 0) { entries.append($0) }
    #expect(entries.map(\.anchor) == (0..<25).map { $0 / 8 })
    #expect(entries.map(\.basePosition) == (0..<25).map { 64 * $0 + $0 / 8 })
    for token in [0, 511, 512, 1599] {
      let entry = entries[token / 64]
      #expect(fill.rows.position(ofToken: token, sequence: 0) == entry.basePosition + token % 64)
      #expect(fill.rows.anchor(ofToken: token, sequence: 0) == entry.anchor)
    }
    #expect(try engine.cache.nextPosition(of: id) == fill.rows.position(ofToken: 1600, sequence: 0))
  }

  @Test("a fill that the cache refuses, or that is cancelled, leaves no sequence behind")
  func refusals() throws {
    let shape = LayerShape(
      kvHeads: 2, keyWidth: 64, keyType: .float32, valueType: .float32, keyPositions: .none)
    let engine = try AttentionEngine(
      cache: KVCache(layers: [shape], stripes: [nil], memoryLimit: 8 << 20),
      layers: [LayerAttention(queryHeads: 2)], workers: Workers(count: 1))
    let large = try SyntheticFill(
      engine: engine, sequences: [FillSequence(filled: 64), FillSequence(filled: 100_000)])
    // What all of it takes, not what the first step too many does: 64 slots of 2 heads, keys and values of 64 channels of f32.
    let pages = 1 + (100_000 + 63) / 64
    #expect(
      throws: FillError.cache(
        .outOfMemory(needed: pages * 64 * 2 * 2 * 64 * 4, allowed: 8 << 20))
    ) { _ = try large.fill() }
    #expect(engine.cache.sequenceCount == 0 && engine.cache.byteCount == 0)
    // Each fits alone, the second not beside the first.
    let half = try SyntheticFill(engine: engine, sequences: [FillSequence(filled: 5_000)])
    _ = try half.fill()
    let other = try SyntheticFill(engine: engine, sequences: [FillSequence(filled: 5_000)])
    #expect(throws: FillError.self) { _ = try other.fill() }
    #expect(engine.cache.sequenceCount == 1)
    try half.drop()
    let flag = CancellationFlag()
    flag.cancel()
    let small = try SyntheticFill(engine: engine, sequences: [FillSequence(filled: 640)])
    #expect(throws: FillError.cancelled) { _ = try small.fill(cancellation: flag) }
    #expect(engine.cache.sequenceCount == 0)
    _ = try small.fill()
    #expect(engine.cache.sequenceCount == 1)
    #expect(throws: FillError.self) {
      _ = try SyntheticFill(engine: engine, sequences: [FillSequence(filled: -1)])
    }
    #expect(throws: FillError.self) {
      _ = try SyntheticFill(engine: engine, sequences: [FillSequence(filled: 1, queries: 2)])
    }
    #expect(throws: FillError.self) {
      _ = try SyntheticFill(engine: engine, sequences: [], options: FillOptions(anchorRun: 100))
    }
  }
}
