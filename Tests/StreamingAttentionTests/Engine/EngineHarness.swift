import KernelTable
import StreamingAttention
import TestSupport

/// An engine over a cache of one layer, fed from attention cases that share its shape.
final class EngineHarness {
  let engine: AttentionEngine
  let layer: LayerAttention

  init(_ example: AttentionCase, workers: Workers = Workers(count: 1)) throws {
    layer = try example.layer()
    let cache = try KVCache(
      layers: [try example.shape()], stripes: [nil], memoryLimit: 1 << 30)
    engine = try AttentionEngine(
      cache: cache, layers: [layer], workers: workers, instructionSet: example.instructionSet)
  }

  /// Takes one step for several sequences: each appends these tokens of its case and asks for these rows.
  ///
  /// Pages are filled with NaN before anything is written.
  func step(
    _ requests: [(
      sequence: SequenceID, example: AttentionCase, tokens: Range<Int>, rows: Range<Int>
    )]
  ) throws -> [AttentionResult] {
    try engine.begin(
      requests.map {
        StepRequest($0.sequence, appending: $0.tokens.count, querying: $0.rows.count)
      })
    engine.cache.fillReservedPages(with: 0xFF)
    let keys = requests.flatMap { $0.example.keys($0.tokens) }
    let values = requests.flatMap { $0.example.values($0.tokens) }
    let queries = requests.flatMap { $0.example.queries($0.rows) }
    try engine.append(layer: 0, keys: keys.span, values: values.span)
    let shape = engine.cache.layers[0]
    let rowCount = requests.reduce(0) { $0 + $1.rows.count } * layer.queryHeads
    var output = [Float](repeating: .nan, count: rowCount * shape.valueWidth)
    var logSumExp = [Float](repeating: .nan, count: rowCount)
    var outputSpan = output.mutableSpan
    var lseSpan = logSumExp.mutableSpan
    try engine.attend(
      layer: 0, queries: queries.span, into: &outputSpan, logSumExp: &lseSpan)
    engine.commit()
    var first = 0
    return requests.map { request in
      let count = request.rows.count * layer.queryHeads
      defer { first += count }
      return AttentionResult(
        output: Array(output[first * shape.valueWidth..<(first + count) * shape.valueWidth]),
        logSumExp: Array(logSumExp[first..<first + count]))
    }
  }

  /// Fills a sequence in steps of several sizes, the last one of which asks for the case's rows.
  func run(_ example: AttentionCase, chunk: Int = 1000) throws -> (SequenceID, AttentionResult) {
    let sequence = try engine.cache.makeSequence(startingAt: example.base)
    let last = min(example.rows, example.length)
    var written = 0
    while written < example.length - last {
      let end = min(written + chunk, example.length - last)
      _ = try step([(sequence, example, written..<end, 0..<0)])
      written = end
    }
    let result = try step([
      (sequence, example, written..<example.length, 0..<example.rows)
    ])
    return (sequence, result[0])
  }

  /// The tokens of a KV head as they are stored, for the twin to read.
  func storedTokens(_ sequence: SequenceID, kvHead: Int) throws -> ReferenceTokens {
    let cache = engine.cache
    let shape = cache.layers[0]
    let (keyElement, valueElement) = (shape.keyType.stored, shape.valueType.stored)
    let order = shape.rotaryPairing == .halves ? PairOrder.halves : .interleaved
    let valueOffset = cache.layout(ofLayer: 0).valueOffset
    var tokens = ReferenceTokens(keyWidth: shape.keyWidth, valueWidth: shape.valueWidth)
    guard try cache.liveEntryCount(of: sequence, table: 0) > 0 else { return tokens }
    let pages = unsafe cache.pageAddresses(layer: 0, kvHead: kvHead)
    try cache.forEachLiveEntry(of: sequence, table: 0) { entry in
      guard let page = unsafe pages[entry.page] else { return }
      for slot in entry.slots {
        let key = (0..<shape.keyWidth).map { channel in
          unsafe SlotTwin.load(
            page,
            SlotTwin.keyIndex(
              channel: channel, slot: slot, pairs: shape.rotaryPairs, order: order,
              element: keyElement), keyElement)
        }
        let value = (0..<shape.valueWidth).map { channel in
          unsafe SlotTwin.load(
            page + valueOffset,
            SlotTwin.valueIndex(
              channel: channel, slot: slot, width: shape.valueWidth, element: valueElement),
            valueElement)
        }
        tokens.append(
          storedKey: key, value: value, at: entry.basePosition + slot, anchor: entry.anchor)
      }
    }
    return tokens
  }
}
