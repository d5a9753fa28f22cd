import KernelTable
import TestSupport

@testable import StreamingAttention

/// A cache of three small layers under an engine, and tokens whose keys and values follow from their identity alone.
final class OperationHarness {
  static let window = 130
  /// That of layer 1.
  let window: Int
  /// Rows drawn once: a token's identity counts them.
  static let identities = 8192

  let cache: KVCache
  let engine: AttentionEngine
  /// Another harness of the same layers, with an empty cache.
  let another: () throws -> OperationHarness
  /// Frequencies of epochs 1 and 2.
  let rotaries: [RotaryEmbedding]
  /// `[layer][identity][kvHead][channel]`.
  private let keys: [[Float]]
  private let values: [[Float]]
  var nextIdentity = 0

  /// Element types are dealt out to the layers, in another order for every seed.
  init(
    seed: UInt64, memoryLimit: Int = 64 << 20, types: [ElementType] = ElementType.plainCases,
    fullPrecision: FullPrecision = .newestPages, window: Int = OperationHarness.window,
    workerCount: Int = 1
  ) throws {
    self.window = window
    another = {
      try OperationHarness(
        seed: seed, memoryLimit: memoryLimit, types: types, fullPrecision: fullPrecision,
        window: window, workerCount: workerCount)
    }
    func type(_ number: UInt64) -> ElementType { types[Int((seed + number) % 3)] }
    let layers = [
      LayerShape(
        kvHeads: 2, keyWidth: 7, valueWidth: 5, keyType: type(0), valueType: type(1),
        keyPositions: .rotary(pairs: 3, pairing: .halves)),
      LayerShape(
        kvHeads: 1, keyWidth: 6, valueWidth: 18, keyType: type(1), valueType: type(2),
        keyPositions: .rotary(pairs: 3, pairing: .interleaved), retention: .window(window)),
      LayerShape(
        kvHeads: 1, keyWidth: 3, valueWidth: 4, keyType: type(2), valueType: type(0),
        keyPositions: .none),
    ]
    cache = try KVCache(
      layers: layers, stripes: [nil], memoryLimit: memoryLimit, fullPrecision: fullPrecision)
    var rotaries: [[RotaryEmbedding]] = []
    for layer in layers.prefix(2) {
      rotaries.append(
        try [RotaryScaling.none, .linear(factor: 2)].map {
          try RotaryEmbedding(
            headDimension: layer.keyWidth, rotaryDimensions: 6, base: 100,
            pairing: layer.rotaryPairing, scaling: $0)
        })
    }
    self.rotaries = rotaries[0]
    let attention = layers.enumerated().map { index, layer in
      var attention = LayerAttention(
        queryHeads: 2 * layer.kvHeads, window: index == 1 ? window : nil,
        rotary: index < 2 ? rotaries[index][0] : nil)
      attention.laterRotary = index < 2 ? [rotaries[index][1]] : []
      return attention
    }
    engine = try AttentionEngine(
      cache: cache, layers: attention, workers: Workers(count: workerCount),
      instructionSet: .detected,
      traits: ProcessorTraits(requests: .linesAndPage, widensPages: false, dotsPairs: false))
    var generator = SeededGenerator(seed: 17)
    keys = layers.map { generator.normalFloats(Self.identities * $0.kvHeads * $0.keyWidth) }
    values = layers.map { generator.normalFloats(Self.identities * $0.kvHeads * $0.valueWidth) }
  }

  // MARK: Steps

  /// Appends new tokens to some sequences, in one step; their identities.
  func append(_ requests: [(SequenceID, Int)], commits: Bool = true) throws -> [Range<Int>] {
    let total = requests.reduce(0) { $0 + $1.1 }
    let first = nextIdentity + total > Self.identities ? 0 : nextIdentity
    try engine.begin(requests.map { StepRequest($0.0, appending: $0.1, querying: 0) })
    cache.fillReservedPages(with: 0xFF)
    for (layer, shape) in cache.layers.enumerated() {
      let (keyFloats, valueFloats) = (
        shape.kvHeads * shape.keyWidth, shape.kvHeads * shape.valueWidth
      )
      let (keys, values) = (keys[layer], values[layer])
      try engine.append(
        layer: layer,
        keys: keys.span.extracting(first * keyFloats..<(first + total) * keyFloats),
        values: values.span.extracting(first * valueFloats..<(first + total) * valueFloats))
    }
    if commits { engine.commit() } else { engine.abandon() }
    nextIdentity = first + total
    var next = first
    return requests.map { request in
      defer { next += request.1 }
      return next..<next + request.1
    }
  }

  func key(_ identity: Int, layer: Int, head: Int) -> [Float] {
    let shape = cache.layers[layer]
    let start = (identity * shape.kvHeads + head) * shape.keyWidth
    return Array(keys[layer][start..<start + shape.keyWidth])
  }

  func value(_ identity: Int, layer: Int, head: Int) -> [Float] {
    let shape = cache.layers[layer]
    let start = (identity * shape.kvHeads + head) * shape.valueWidth
    return Array(values[layer][start..<start + shape.valueWidth])
  }

  // MARK: Looking inside

  func entries(of sequence: SequenceID, table: Int) -> [LiveEntry] {
    var entries: [LiveEntry] = []
    try? cache.forEachLiveEntry(of: sequence, table: table) { entries.append($0) }
    return entries
  }

  /// How often a page set's keys have been turned anew.
  func rewrites(_ page: Int, table: Int) -> Int { Int(cache.pools[table].sets[page].rewrites) }

  func rotation(layer: Int, epoch: Int) -> ReferenceRotation? {
    guard layer < 2, epoch > 0 else { return nil }
    let pairing: ReferenceRotation.Pairing = layer == 0 ? .halves : .interleaved
    return ReferenceRotation(frequencies: rotaries[epoch - 1].frequencies, pairing: pairing)
  }

  static func unit(_ type: ElementType) -> Double {
    switch type {
    case .float32: 0
    case .float16, .int8, .int4: 0x1p-11
    case .bfloat16: 0x1p-8
    }
  }

  /// Whether a live slot holds a token's key, turned freshly by (position − anchor), and its value.
  ///
  /// A key is rounded once when it is written, and once more by each rewrite.
  func holds(_ identity: Int, layer: Int, head: Int, entry: LiveEntry, slot: Int) -> Bool {
    let shape = cache.layers[layer]
    if shape.isQuantized {
      return holdsCodes(identity, layer: layer, head: head, entry: entry, slot: slot)
    }
    guard let page = unsafe cache.pageAddresses(layer: layer, kvHead: head)[entry.page] else {
      return false
    }
    let most = Double(1 + rewrites(entry.page, table: cache.table(ofLayer: layer)))
    let own = keyRoundings(identity, layer: layer, head: head, entry: entry, slot: slot)
    if !(own <= most) { return false }
    let offset = cache.layout(ofLayer: layer).valueOffset
    for (channel, number) in value(identity, layer: layer, head: head).enumerated() {
      let stored = unsafe SlotTwin.load(
        page + offset,
        SlotTwin.valueIndex(
          channel: channel, slot: slot, width: shape.valueWidth, element: shape.valueType.stored),
        shape.valueType.stored)
      if stored != SlotTwin.rounded(number, shape.valueType.stored) { return false }
    }
    return unsafe isBounded(layer: layer, head: head, entry: entry, slot: slot, page)
  }

  /// How far a slot of a plain layer is from a token's key, turned freshly, in units of what one rounding may move a channel by.
  ///
  /// That is the unit roundoff of the key's type; a turn in f32 costs 8 of its roundings at most.
  func keyRoundings(
    _ identity: Int, layer: Int, head: Int, entry: LiveEntry, slot: Int
  ) -> Double {
    let shape = cache.layers[layer]
    let order: PairOrder = shape.rotaryPairing == .halves ? .halves : .interleaved
    guard let page = unsafe cache.pageAddresses(layer: layer, kvHead: head)[entry.page] else {
      return .infinity
    }
    let given = key(identity, layer: layer, head: head).map(Double.init)
    let turning = rotation(layer: layer, epoch: entry.epoch)
    let expected =
      turning?.turned(given, by: entry.basePosition + slot - entry.anchor) ?? given
    let lengths = turning?.magnitudes(of: given) ?? given.map(\.magnitude)
    let unit = Self.unit(shape.keyType) * 1.01 + 8 * 0x1p-24
    var most = 0.0
    for channel in given.indices {
      let stored = unsafe SlotTwin.load(
        page,
        SlotTwin.keyIndex(
          channel: channel, slot: slot, pairs: shape.rotaryPairs, order: order,
          element: shape.keyType.stored), shape.keyType.stored)
      let error = (Double(stored) - expected[channel]).magnitude
      // What is not a number is off by more than anything.
      let own = error / (unit * lengths[channel] + 0x1p-25)
      most = own <= most ? most : own.isNaN ? .infinity : own
    }
    return most
  }

  /// Whether the page's norms bound what the slot holds.
  private func isBounded(
    layer: Int, head: Int, entry: LiveEntry, slot: Int, _ page: UnsafeRawPointer
  ) -> Bool {
    let norms = unsafe cache.pageNorms(layer: layer, kvHead: head)[entry.page]
    let exact = unsafe StoredPage(page, cache.layers[layer]).norms(of: slot..<slot + 1)
    return Double(norms.key) * (1 + 0x1p-22) >= Double(exact.key)
      && Double(norms.value) * (1 + 0x1p-22) >= Double(exact.value)
  }

  /// The largest error of the newest token's attention in all layers, in units of its bound, against keys of the model
  /// that are turned freshly by their positions now.
  func attentionRatio(of sequence: SequenceID, _ model: OperationModel, row: Int) throws -> Double {
    try engine.begin(
      [StepRequest(sequence, appending: 0, querying: 1)], options: .notingAttention)
    defer { engine.commit() }
    let epoch = try cache.rotation(of: sequence).epoch
    var worst = 0.0
    for (layer, shape) in cache.layers.enumerated() {
      let rotation = rotation(layer: layer, epoch: epoch)
      let heads = 2 * shape.kvHeads
      let first = row * shape.kvHeads * shape.keyWidth
      let queries = Array(keys[layer][first..<first + heads * shape.keyWidth])
      var output = [Float](repeating: .nan, count: heads * shape.valueWidth)
      var logSumExp = [Float](repeating: .nan, count: heads)
      var span = output.mutableSpan
      var lse = logSumExp.mutableSpan
      try engine.attend(layer: layer, queries: queries.span, into: &span, logSumExp: &lse)
      var bounds = [Float](repeating: .nan, count: heads)
      var boundSpan = bounds.mutableSpan
      try engine.quantizationBounds(layer: layer, queries: queries.span, into: &boundSpan)
      let table = cache.table(ofLayer: layer)
      let rewrites = entries(of: sequence, table: table).map {
        self.rewrites($0.page, table: table)
      }
      let unit = Self.unit(shape.keyType) * 1.01 + 16 * 0x1p-24
      let twin = ReferenceAttention(
        scale: Double(1 / Float(shape.keyWidth).squareRoot()), isCausal: true,
        window: layer == 1 ? window : nil, rotation: rotation,
        arithmetic: .init(keyUnit: unit * Double(1 + (rewrites.max() ?? 0))))
      for kvHead in 0..<shape.kvHeads {
        var tokens = ReferenceTokens(keyWidth: shape.keyWidth, valueWidth: shape.valueWidth)
        for token in model.tokens where table == 1 || !token.isEvicted {
          tokens.append(
            key: key(token.identity, layer: layer, head: kvHead),
            value: value(token.identity, layer: layer, head: kvHead).map {
              SlotTwin.rounded($0, shape.valueType.stored)
            }, at: token.position, turnedBy: rotation)
        }
        for head in 2 * kvHead..<2 * kvHead + 2 {
          let query = Array(queries[head * shape.keyWidth..<(head + 1) * shape.keyWidth])
          let expected = twin.row(query: query, at: model.nextPosition - 1, over: tokens)
          let own = output[head * shape.valueWidth..<(head + 1) * shape.valueWidth]
          if shape.isQuantized {
            let bound =
              Double(bounds[head])
              + integerBound(layer: layer, kvHead: kvHead, query: query, of: sequence)
              + expected.outputBound.norm
            worst = max(worst, expected.output.distance(to: own.map(Double.init)) / bound)
          } else {
            worst = max(worst, expected.worstRatio(output: own, logSumExp: logSumExp[head]))
          }
        }
      }
    }
    return worst
  }
}
