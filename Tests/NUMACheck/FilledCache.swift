import Memory
import StreamingAttention

/// A sequence of 6,208 tokens in layers of every element type, and the attention of its last 3.
final class FilledCache {
  /// A small page of the machine that holds keys or values.
  struct Page {
    var intended: Int?
    var actual: Int?
  }

  /// 97 whole pages, so that all of their memory is touched, over four stripes of 32.
  private static let tokenCount = 97 * 64
  private static let rowCount = 3
  private static let queryHeads = 4
  private static let kvHeads = 2

  private let engine: AttentionEngine
  private let placement: CachePlacement
  private let sequence: SequenceID
  /// FNV-1a (Fowler, Noll, Vo; 64 bits) over the bits of all outputs.
  private(set) var outputBits: UInt64 = 0xcbf2_9ce4_8422_2325

  init(
    _ placement: CachePlacement, workers: Workers, instructionSet: InstructionSet
  ) throws {
    self.placement = placement
    let rotary = try RotaryEmbedding(headDimension: 64, pairing: .halves)
    let turned = KeyPositions.rotary(pairs: 32, pairing: .halves)
    let shapes = [
      LayerShape(
        kvHeads: Self.kvHeads, keyWidth: 64, keyType: .float32, valueType: .float32,
        keyPositions: turned),
      // Pages of 15 KiB: they begin inside pages of the machine.
      LayerShape(
        kvHeads: Self.kvHeads, keyWidth: 72, valueWidth: 48, keyType: .float16,
        valueType: .float16, keyPositions: .none),
      LayerShape(
        kvHeads: Self.kvHeads, keyWidth: 64, keyType: .bfloat16, valueType: .bfloat16,
        keyPositions: turned, retention: .window(5_000)),
    ]
    let cache = try KVCache(layers: shapes, placement: placement, memoryLimit: 128 << 20)
    sequence = try cache.makeSequence()
    engine = try AttentionEngine(
      cache: cache,
      layers: [
        LayerAttention(queryHeads: Self.queryHeads, rotary: rotary),
        LayerAttention(queryHeads: Self.queryHeads),
        LayerAttention(queryHeads: Self.queryHeads, window: 5_000, rotary: rotary),
      ],
      workers: workers, instructionSet: instructionSet)
    let first = Self.tokenCount - Self.rowCount
    for start in stride(from: 0, to: first, by: 1_000) {
      try step(start..<min(start + 1_000, first), rowCount: 0)
    }
    try step(first..<Self.tokenCount, rowCount: Self.rowCount)
  }

  private func step(_ tokens: Range<Int>, rowCount: Int) throws {
    try engine.begin([StepRequest(sequence, appending: tokens.count, querying: rowCount)])
    for (layer, shape) in engine.cache.layers.enumerated() {
      func values(_ width: Int, _ kind: Int) -> [Float] {
        Self.values(tokens.lowerBound * width..<tokens.upperBound * width, seed: 3 * layer + kind)
      }
      let keys = values(Self.kvHeads * shape.keyWidth, 0)
      let stored = values(Self.kvHeads * shape.valueWidth, 1)
      try engine.append(layer: layer, keys: keys.span, values: stored.span)
      let queries = rowCount == 0 ? [] : values(Self.queryHeads * shape.keyWidth, 2)
      var output = [Float](
        repeating: .nan, count: rowCount * Self.queryHeads * shape.valueWidth)
      var span = output.mutableSpan
      try engine.attend(layer: layer, queries: queries.span, into: &span)
      for value in output {
        outputBits = (outputBits ^ UInt64(value.bitPattern)) &* 0x100_0000_01b3
      }
    }
    engine.commit()
  }

  /// Numbers in −1..<1 that follow from their index alone.
  private static func values(_ indices: Range<Int>, seed: Int) -> [Float] {
    indices.map { index in
      // The finaliser of SplitMix64 (Steele, Lea & Flood 2014, fig. 15).
      var bits = UInt64(index) &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(seed) << 56
      bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
      bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
      return Float(Int32(truncatingIfNeeded: bits >> 40) - 1 << 23) / Float(1 << 23)
    }
  }

  /// Where every page of the machine that holds live keys and values is, and where the placement wants it.
  func audit() throws -> [Page] {
    let cache = engine.cache
    let nodes = Topology.current.memoryNodes
    var intended: [UInt: Int] = [:]
    for layer in cache.layers.indices {
      let byteCount = UInt(cache.layout(ofLayer: layer).pageBytes)
      for kvHead in 0..<Self.kvHeads {
        let pages = unsafe cache.pageAddresses(layer: layer, kvHead: kvHead)
        try cache.forEachLiveEntry(of: sequence, table: cache.table(ofLayer: layer)) { entry in
          let node =
            switch placement {
            case .bind(let node): node
            // Stripes of 32 entries: a leaf is on one node.
            case .automatic, .interleave: nodes[entry.number / 32 % nodes.count]
            }
          let start = unsafe UInt(bitPattern: pages[entry.page])
          let grain = UInt(Region.pageBytes)
          let first = start / grain * grain
          for address in stride(from: first, to: start + byteCount, by: Int(grain)) {
            intended[address] = node
          }
        }
      }
    }
    let addresses = intended.keys.sorted()
    let actual = try Region.nodes(ofPagesAt: addresses)
    return zip(addresses, actual).map { Page(intended: intended[$0], actual: $1) }
  }
}
