import KernelTable
import StreamingAttention
import TestSupport
import Testing

@Suite("Page norms")
struct PageNormTests {
  /// Bounds and exact norms of the live slots of every page, `[layer, KV head, entry]`.
  private func norms(
    _ harness: CacheHarness, _ sequence: SequenceID
  ) -> [(bound: PageNorms, key: Double, value: Double)] {
    var all: [(PageNorms, Double, Double)] = []
    for (layer, shape) in harness.cache.layers.enumerated() {
      let order: PairOrder = shape.rotaryPairing == .halves ? .halves : .interleaved
      let offset = harness.cache.layout(ofLayer: layer).valueOffset
      for head in 0..<shape.kvHeads {
        let bounds = unsafe harness.cache.pageNorms(layer: layer, kvHead: head)
        let table = harness.cache.table(ofLayer: layer)
        for entry in harness.entries(of: sequence, table: table) {
          let address = harness.address(layer: layer, head: head, page: entry.page)
          guard let page = unsafe UnsafeRawPointer(bitPattern: address) else { continue }
          var (key, value) = (0.0, 0.0)
          for slot in entry.slots {
            var (keySum, valueSum) = (0.0, 0.0)
            for channel in 0..<shape.keyWidth {
              let index = SlotTwin.keyIndex(
                channel: channel, slot: slot, pairs: shape.rotaryPairs, order: order,
                element: shape.keyType.stored)
              let number = unsafe Double(SlotTwin.load(page, index, shape.keyType.stored))
              keySum += number * number
            }
            for channel in 0..<shape.valueWidth {
              let index = SlotTwin.valueIndex(
                channel: channel, slot: slot, width: shape.valueWidth,
                element: shape.valueType.stored)
              let number = unsafe Double(
                SlotTwin.load(page + offset, index, shape.valueType.stored))
              valueSum += number * number
            }
            (key, value) = (
              max(key, keySum.squareRoot()), max(value, valueSum.squareRoot())
            )
          }
          all.append((unsafe bounds[entry.page], key, value))
        }
      }
    }
    return all
  }

  @Test(
    "bound what is stored, from above and closely",
    arguments: InstructionSet.allCases.filter(\.isAvailable))
  func bounds(instructionSet: InstructionSet) throws {
    for keyType in ElementType.plainCases {
      for valueType in ElementType.plainCases {
        for (keyWidth, valueWidth) in [(2, 1), (59, 45), (64, 130), (600, 16)] {
          let shapes = [RotaryPairing.halves, .interleaved].map { pairing in
            LayerShape(
              kvHeads: 2, keyWidth: keyWidth, valueWidth: valueWidth, keyType: keyType,
              valueType: valueType,
              keyPositions: .rotary(pairs: keyWidth / 2, pairing: pairing))
          }
          let harness = try CacheHarness(shapes, kernels: instructionSet.kernels)
          let sequence = try harness.cache.makeSequence()
          var token = 0
          for count in [1, 2, 60, 7, 130, 1] {
            try harness.append(Array(token..<token + count), to: sequence)
            token += count
            for (bound, key, value) in norms(harness, sequence) {
              #expect(Double(bound.key) >= key && Double(bound.value) >= value)
              // Rounding to nearest shrinks a number by 2⁻⁸ of it at most (bf16), as the bound allows it to grow;
              // (width + 64)·2⁻²³ for sums, width·2⁻²⁵ for the smallest numbers of f16.
              let most = 1 + 0x1p-8 + 0x1p-8 + 0x1p-12
              #expect(Double(bound.key) <= key * most + Double(keyWidth) * 0x1p-25)
              #expect(Double(bound.value) <= value * most + Double(valueWidth) * 0x1p-25)
            }
          }
        }
      }
    }
  }

  @Test(
    "exclude nothing where a number is not finite once stored",
    arguments: InstructionSet.allCases.filter(\.isAvailable))
  func notFinite(instructionSet: InstructionSet) throws {
    for (type, number) in [
      (ElementType.float32, Float.nan), (.float16, 65_520), (.bfloat16, -.infinity),
      (.float32, 3e38), (.bfloat16, .greatestFiniteMagnitude),
    ] {
      for isKey in [true, false] {
        for channel in [0, 17] {
          let shape = LayerShape(
            kvHeads: 1, keyWidth: 18, keyType: type, valueType: type, keyPositions: .none)
          let cache = try KVCache(layers: [shape], stripes: [nil], memoryLimit: 1 << 24)
          let layer = LayerAttention(queryHeads: 1)
          let engine = try AttentionEngine(
            cache: cache, layers: [layer], workers: Workers(count: 1),
            instructionSet: instructionSet)
          let sequence = try cache.makeSequence()
          var rows = [Float](repeating: 1, count: 2 * 18)
          let ones = rows
          rows[18 + channel] = number
          // Two pages: the number stands in the last slot of the first.
          for step in 0..<65 {
            try engine.begin([StepRequest(sequence, appending: 1)])
            let row = Array(step == 63 ? rows[18...] : rows[..<18])
            let plain = Array(ones[..<18])
            try engine.append(
              layer: 0, keys: (isKey ? row : plain).span, values: (isKey ? plain : row).span)
            engine.commit()
          }
          let norms = unsafe cache.pageNorms(layer: 0, kvHead: 0)
          let pages = try Self.pages(cache, sequence)
          let name = "\(type) \(number) key \(isKey)"
          #expect(unsafe norms[pages[0]].key == .infinity, "\(name)")
          #expect(unsafe (norms[pages[0]].value == .infinity) == !isKey, "\(name)")
          #expect(unsafe norms[pages[1]].key < 5 && norms[pages[1]].value < 5, "\(name)")
        }
      }
    }
  }

  private static func pages(_ cache: KVCache, _ sequence: SequenceID) throws -> [Int] {
    var pages: [Int] = []
    try cache.forEachLiveEntry(of: sequence, table: 0) { pages.append($0.page) }
    return pages
  }

  @Test("are as before after a step was given up, however often its layers wrote")
  func abandoned() throws {
    let harness = try CacheHarness()
    let sequence = try harness.cache.makeSequence()
    let other = try harness.cache.makeSequence()
    try harness.append(Array(0..<70), to: sequence)
    let before = norms(harness, sequence).map(\.bound)
    // Tokens with larger numbers than any so far: in the page begun, and in new ones.
    for count in [1, 200] {
      let reservation = try harness.reserve([(sequence, Array(900..<900 + count)), (other, [1])])
      harness.cache.abandon(reservation)
      #expect(norms(harness, sequence).map(\.bound) == before)
      // A failed reservation of a step that follows restores nothing that it has not saved.
      #expect(throws: CacheError.self) {
        try harness.cache.reserve([SlotRequest(sequence, appending: 10_000_000)])
      }
      #expect(norms(harness, sequence).map(\.bound) == before)
    }
    try harness.append(Array(70..<75), to: sequence)
    let grown = norms(harness, sequence)
    #expect(throws: CacheError.self) {
      try harness.cache.reserve([SlotRequest(sequence, appending: 10_000_000)])
    }
    #expect(norms(harness, sequence).map(\.bound) == grown.map(\.bound))
    let fresh = try CacheHarness()
    let again = try fresh.cache.makeSequence()
    try fresh.append(Array(0..<75), to: again)
    #expect(norms(fresh, again).map(\.bound) == grown.map(\.bound))
  }

  @Test("of pages that nobody has written through a slot writer are unknown")
  func unknown() throws {
    let harness = try CacheHarness()
    let sequence = try harness.cache.makeSequence()
    let reservation = try harness.cache.reserve([SlotRequest(sequence, appending: 64)])
    let page = harness.entries(of: sequence)[0].page
    let norms = unsafe harness.cache.pageNorms(layer: 0, kvHead: 1)
    #expect(unsafe norms[page] == .unknown)
    unsafe norms[page] = PageNorms(key: 2, value: 3)
    harness.cache.commit(reservation)
    try harness.append([1], to: sequence)
    #expect(
      unsafe harness.cache.pageNorms(layer: 0, kvHead: 1)[page] == PageNorms(key: 2, value: 3))
  }
}
