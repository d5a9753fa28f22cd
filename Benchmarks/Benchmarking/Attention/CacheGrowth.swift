import StreamingAttention

/// Growth of a filled cache by one token of every sequence in each step.
struct CacheGrowth {
  private let cache: FilledCache
  private let variant: AttentionVariant
  private let repeats: Int
  /// `[layer][step]`, each `[sequence][kvHead][channel]`.
  private let keys: [[[Float]]]
  private let values: [[[Float]]]

  init(_ cache: FilledCache, variant: AttentionVariant, repeats: Int) {
    self.cache = cache
    self.variant = variant
    self.repeats = repeats
    let sequences = cache.context.lengths.count
    let width = cache.shape.kvHeads * cache.shape.headDimension
    let layers = 0..<cache.cycle.layers
    keys = layers.map {
      Self.steps(cache.fill.appendedKeys(layer: $0), sequences, repeats, width)
    }
    values = layers.map {
      Self.steps(cache.fill.appendedValues(layer: $0), sequences, repeats, width)
    }
  }

  /// `[sequence][step][channel]` as `[step][sequence][channel]`.
  private static func steps(
    _ rows: [Float], _ sequences: Int, _ steps: Int, _ width: Int
  ) -> [[Float]] {
    (0..<steps).map { step in
      (0..<sequences).flatMap { sequence in
        let first = (sequence * steps + step) * width
        return rows[first..<first + width]
      }
    }
  }

  /// Times of the steps, all layers together.
  func run(cancellation: CancellationFlag) throws(BenchmarkError) -> Samples {
    var samples = Samples()
    let engine = variant.engine
    let requests = cache.fill.ids.map { StepRequest($0, appending: 1, querying: 0) }
    do throws(AttentionError) {
      for step in 0..<repeats {
        if cancellation.isCancelled { throw .cancelled }
        let start = Stopwatch.now
        try engine.begin(requests)
        for layer in keys.indices {
          let (key, value) = (keys[layer][step], values[layer][step])
          try engine.append(layer: layer, keys: key.span, values: value.span)
        }
        engine.commit()
        samples.add(Stopwatch.now - start)
      }
    } catch {
      throw error == .cancelled ? .interrupted : .attention(error)
    }
    return samples
  }

  /// Attends from the newest token of what has grown, in every layer.
  func check() throws(BenchmarkError) -> CheckedAnswer {
    if cache.types.isQuantized { return try checkCodes() }
    let engine = variant.engine
    var found = SelfCheck()
    do throws(AttentionError) {
      try engine.begin(cache.requests(rows: 1))
      defer { engine.abandon() }
      for layer in keys.indices {
        let asked = cache.fill.checkQueries(layer: layer, for: engine, rows: 1)
        var output = [Float](repeating: 0, count: asked.count)
        var span = output.mutableSpan
        let report = try engine.attend(layer: layer, queries: asked.span, into: &span)
        found.merge(
          cache.fill.check(
            layer: layer, output: output.span, for: engine, rows: 1,
            skippedMass: Double(report.skippedMassBound)))
      }
    } catch {
      throw .attention(error)
    }
    return CheckedAnswer(found)
  }

  /// As `check`, against Double over what is stored: no key was planted among codes.
  private func checkCodes() throws(BenchmarkError) -> CheckedAnswer {
    let (engine, fill) = (variant.engine, cache.fill)
    var found = SelfCheck()
    for layer in keys.indices {
      let asked = fill.plainQueries(layer: layer, for: engine, rows: 1)
      var output = [Float](repeating: 0, count: asked.count)
      do throws(AttentionError) {
        try engine.begin(cache.requests(rows: 1))
        defer { engine.abandon() }
        var span = output.mutableSpan
        try engine.attend(layer: layer, queries: asked.span, into: &span)
      } catch {
        throw .attention(error)
      }
      let answers = output
      let error = try BenchmarkError.wrapping { () throws(FillError) in
        try fill.relativeError(
          layer: layer, queries: asked.span, output: answers.span, for: engine, rows: 1
        ).l2
      }
      found.merge(
        PlainCheck.dense(
          error: error, types: cache.types, instructionSet: engine.instructionSet))
    }
    return CheckedAnswer(found)
  }
}
