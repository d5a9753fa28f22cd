import KernelTable
import TestSupport

@testable import StreamingAttention

/// What one sequence does in a step of a harness.
struct HarnessRequest {
  var sequence: SequenceID
  var example: AttentionCase
  /// Appended tokens of the case.
  var tokens: Range<Int>
  /// Rows of the case that ask.
  var rows: Range<Int>

  init(_ sequence: SequenceID, _ example: AttentionCase, tokens: Range<Int>, rows: Range<Int>) {
    self.sequence = sequence
    self.example = example
    self.tokens = tokens
    self.rows = rows
  }
}

/// An engine over a cache of one layer, fed from attention cases that share its shape.
final class EngineHarness {
  let engine: AttentionEngine
  let layer: LayerAttention
  /// Of the latest rows.
  private(set) var report = AttentionReport()

  init(
    _ example: AttentionCase, layer: LayerAttention? = nil, cache: KVCache? = nil,
    workers: Workers = Workers(count: 1)
  ) throws {
    self.layer = try layer ?? example.layer()
    engine = try AttentionEngine(
      cache: cache ?? Self.cache(example), layers: [self.layer], workers: workers,
      instructionSet: example.instructionSet, traits: example.traits)
  }

  static func cache(_ example: AttentionCase) throws -> KVCache {
    try KVCache(layers: [try example.shape()], stripes: [nil], memoryLimit: 1 << 28)
  }

  /// Takes one step for several sequences: each appends tokens of its case and asks for rows of it.
  ///
  /// Pages are filled with NaN before anything is written.
  func step(_ requests: [HarnessRequest], commits: Bool = true) throws -> [AttentionResult] {
    try begin(requests)
    let results = try attend(requests)
    if commits { engine.commit() } else { engine.abandon() }
    return results
  }

  /// Begins a step and appends its tokens.
  func begin(_ requests: [HarnessRequest], options: StepOptions = StepOptions()) throws {
    try engine.begin(
      requests.map {
        StepRequest($0.sequence, appending: $0.tokens.count, querying: $0.rows.count)
      }, options: options)
    engine.cache.fillReservedPages(with: 0xFF)
    let keys = requests.flatMap { $0.example.keys($0.tokens) }
    let values = requests.flatMap { $0.example.values($0.tokens) }
    try engine.append(layer: 0, keys: keys.span, values: values.span)
  }

  /// The rows of a step that has begun.
  func attend(
    _ requests: [HarnessRequest], cancellation: CancellationFlag? = nil
  ) throws -> [AttentionResult] {
    let queries = requests.flatMap { $0.example.queries($0.rows) }
    let width = engine.cache.layers[0].valueWidth
    let rowCount = requests.reduce(0) { $0 + $1.rows.count } * layer.queryHeads
    var output = [Float](repeating: .nan, count: rowCount * width)
    var logSumExp = [Float](repeating: .nan, count: rowCount)
    var outputSpan = output.mutableSpan
    var lseSpan = logSumExp.mutableSpan
    // Those of the keys that this step sees: the newest of the sequence.
    let bias = requests.enumerated().flatMap { index, request in
      request.rows.flatMap { row in
        request.example.biases(row: row).flatMap { biases in
          biases[..<request.tokens.upperBound].suffix(engine.plan.tables[index].keyCount)
        }
      }
    }
    report =
      bias.isEmpty
      ? try engine.attend(
        layer: 0, queries: queries.span, into: &outputSpan, logSumExp: &lseSpan,
        cancellation: cancellation)
      : try engine.attend(
        layer: 0, queries: queries.span, bias: bias.span, into: &outputSpan, logSumExp: &lseSpan,
        cancellation: cancellation)
    var first = 0
    return requests.map { request in
      let count = request.rows.count * layer.queryHeads
      defer { first += count }
      return AttentionResult(
        output: Array(output[first * width..<(first + count) * width]),
        logSumExp: Array(logSumExp[first..<first + count]))
    }
  }

  /// A sequence that holds the first tokens of a case, appended in steps of at most `chunk`.
  func fill(_ example: AttentionCase, _ count: Int, chunk: Int = 1000) throws -> SequenceID {
    let sequence = try engine.cache.makeSequence(startingAt: example.base)
    for start in stride(from: 0, to: count, by: chunk) {
      let tokens = start..<min(start + chunk, count)
      _ = try step([HarnessRequest(sequence, example, tokens: tokens, rows: 0..<0)])
    }
    return sequence
  }

  /// Fills a sequence; the last step asks for the case's rows.
  func run(_ example: AttentionCase, chunk: Int = 1000) throws -> (SequenceID, AttentionResult) {
    let written = example.length - min(example.rows, example.length)
    let sequence = try fill(example, written, chunk: chunk)
    let last = HarnessRequest(
      sequence, example, tokens: written..<example.length, rows: 0..<example.rows)
    return (sequence, try step([last])[0])
  }

  /// The tokens of a KV head as they are stored, for the twin to read.
  func storedTokens(_ sequence: SequenceID, kvHead: Int) throws -> ReferenceTokens {
    let cache = engine.cache
    let shape = cache.layers[0]
    var tokens = ReferenceTokens(keyWidth: shape.keyWidth, valueWidth: shape.valueWidth)
    guard try cache.liveEntryCount(of: sequence, table: 0) > 0 else { return tokens }
    try cache.forEachLiveEntry(of: sequence, table: 0) { entry in
      guard let page = CodedPage(of: entry, in: cache, layer: 0, head: kvHead) else { return }
      for slot in entry.slots {
        if entry.isCoded, shape.isQuantized {
          page.append(
            slot: slot, of: entry, to: &tokens, instructionSet: engine.instructionSet)
          continue
        }
        tokens.append(
          storedKey: page.key(slot: slot).map { Float($0) },
          value: page.value(slot: slot).map { Float($0) },
          at: entry.basePosition + slot, anchor: entry.anchor)
      }
    }
    return tokens
  }
}
