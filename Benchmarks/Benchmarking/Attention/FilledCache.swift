package import StreamingAttention

/// A cache that is filled once and measured with several encodings, threads and numbers of rows.
package final class FilledCache {
  package let cache: KVCache
  let shape: AttentionShape
  let types: StoredTypes
  let context: ContextMix
  let cycle: CyclePlan
  let fill: SyntheticFill

  /// What a filled cache holds.
  struct Contents {
    var shape: AttentionShape
    var types: StoredTypes
    /// Lengths of the sequences, appended tokens not included.
    var context: ContextMix
    var cycle: CyclePlan
    /// Tokens that will be appended to each sequence.
    var appended = 0
    /// What the keys are stored for: `rope`, which all encodings can read, or `none`.
    var position = PositionKind.rope
    /// The most rows of a sequence that will ask at once.
    var rows = 1
    var options: FillOptions
  }

  /// Fills a new cache.
  init(
    _ contents: Contents, workers: Workers, instructionSet: InstructionSet,
    cancellation: CancellationFlag, progress: @escaping (Double) -> Void
  ) throws(BenchmarkError) {
    shape = contents.shape
    types = contents.types
    context = contents.context
    cycle = contents.cycle
    let layer = LayerShape(
      kvHeads: shape.kvHeads, keyWidth: shape.headDimension, keyType: types.key,
      valueType: types.value,
      keyPositions: contents.position.turns
        ? .rotary(
          pairs: shape.headDimension / 2, pairing: AttentionVariant.pairing(keyType: types.key))
        : .none)
    let layers = Array(repeating: layer, count: cycle.layers)
    let cache = try BenchmarkError.wrapping { () throws(CacheError) in
      try KVCache(layers: layers)
    }
    self.cache = cache
    let writer = try AttentionVariant(
      contents.position, epsilon: 0, rotation: contents.options.rotation, cache: cache,
      shape: shape, workers: workers,
      instructionSet: instructionSet)
    let rows = contents.rows
    let appended = contents.appended
    let sequences = context.lengths.map {
      FillSequence(filled: $0, appended: appended, queries: min(rows, $0 + appended))
    }
    let options = contents.options
    fill = try BenchmarkError.wrapping { () throws(FillError) in
      let fill = try SyntheticFill(engine: writer.engine, sequences: sequences, options: options)
      _ = try fill.fill(cancellation: cancellation, progress: progress)
      return fill
    }
  }

  /// The newest `rows` tokens of every sequence ask; nothing is appended.
  func requests(rows: Int) -> [StepRequest] {
    fill.ids.map { StepRequest($0, appending: 0, querying: rows) }
  }
}
