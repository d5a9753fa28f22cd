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

  /// The parts of a layer that are compared with Double, where so many layers share them out.
  func checkedParts(layers: Int, keys: Int = CheckedParts.mostKeys) -> CheckedParts {
    CheckedParts(
      lengths: fill.sequences.map(\.length), kvHeads: shape.kvHeads, layers: layers, keys: keys)
  }

  /// Compares an output with Double over the values as stored: of every part the newest row, and the oldest one that asked.
  ///
  /// Called inside the step or after it. Each row of a part has to be right by itself: where biases make some heads' answers
  /// small, those of others would hide them.
  ///
  /// - Parameters:
  ///   - output: `[row][queryHead][channel]` of every sequence.
  ///   - queries: What was asked: ordinary queries where keys are planted, plain ones else.
  ///   - layer: The layer.
  ///   - parts: What is compared.
  ///   - reader: The engine that attended.
  ///   - rows: Query rows of each sequence.
  ///   - skippedMass: The bound on the share of a row that a horizon skipped.
  /// - Returns: What was found, and the error of the newest rows of all parts together.
  /// - Throws: ``BenchmarkError`` if the sequence has been dropped.
  func compareWithDouble(
    _ output: [Float], queries: [Float], layer: Int, parts: [CheckedParts.Part],
    reader: AttentionEngine, rows: Int, skippedMass: Double = 0
  ) throws(BenchmarkError) -> (check: SelfCheck, error: RelativeError) {
    let fill = fill
    var (check, newest) = (SelfCheck(), RelativeError())
    for part in parts {
      for row in rows == 1 ? [0] : [0, rows - 1] {
        let (error, missing) = try BenchmarkError.wrapping { () throws(FillError) in
          try fill.compare(
            layer: layer, queries: queries.span, output: output.span, for: reader, rows: rows,
            sequence: part.sequence, kvHead: part.kvHead, which: row..<row + 1)
        }
        // The oldest rows may see a few keys, which leave no error.
        if row == rows - 1 { newest.merge(error) }
        let visible = fill.sequences[part.sequence].length - rows + row + 1
        check.merge(
          PlainCheck.dense(
            error, missing, types: types, reader: reader,
            keyLength: fill.keyLength(
              layer: layer, sequence: part.sequence, kvHead: part.kvHead, tokens: 0..<visible,
              for: reader),
            skippedMass: skippedMass, valueWidth: shape.headDimension))
      }
    }
    return (check, newest)
  }
}
