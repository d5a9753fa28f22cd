import StreamingAttention

/// Growth of a filled cache by one token of every sequence in each step.
struct CacheGrowth {
  private let cache: FilledCache
  private let variant: AttentionVariant
  private let repeats: Int
  private let layers: Int
  /// Changes an output before it is looked at, as tests do.
  private let damage: ((inout [Float]) -> Void)?
  /// Steps whose rows are made before the first of them is timed.
  private let batch: Int

  /// Bytes of the rows of a batch, unless one step has more: 512 steps of an 8B model's 32 layers.
  private static let batchBytes = 1 << 27

  init(
    _ cache: FilledCache, variant: AttentionVariant, repeats: Int,
    damage: ((inout [Float]) -> Void)? = nil
  ) throws(BenchmarkError) {
    self.cache = cache
    self.variant = variant
    self.repeats = repeats
    self.damage = damage
    layers = cache.cycle.layers
    // Keys and values of one step.
    let numbers =
      2 * layers * cache.context.lengths.count * cache.shape.kvHeads * cache.shape.headDimension
    batch = max(1, min(repeats, Self.batchBytes / 4 / numbers))
    try RowMemory.demand(batch * numbers)
  }

  /// Times of the steps, all layers together.
  func run(cancellation: CancellationFlag) throws(BenchmarkError) -> Samples {
    var samples = Samples()
    let (engine, fill) = (variant.engine, cache.fill)
    let requests = fill.ids.map { StepRequest($0, appending: 1, querying: 0) }
    do throws(AttentionError) {
      for first in stride(from: 0, to: repeats, by: batch) {
        let steps = first..<min(first + batch, repeats)
        // [step][layer], each [sequence][kvHead][channel].
        let keys = steps.map { step in
          (0..<layers).map { fill.appendedKeys(layer: $0, step: step) }
        }
        let values = steps.map { step in
          (0..<layers).map { fill.appendedValues(layer: $0, step: step) }
        }
        for step in keys.indices {
          if cancellation.isCancelled { throw .cancelled }
          let start = Stopwatch.now
          try engine.begin(requests)
          for layer in 0..<layers {
            let (key, value) = (keys[step][layer], values[step][layer])
            try engine.append(layer: layer, keys: key.span, values: value.span)
          }
          engine.commit()
          samples.add(Stopwatch.now - start)
        }
      }
    } catch {
      throw error == .cancelled ? .interrupted : .attention(error)
    }
    return samples
  }

  /// Attends from the newest token of what has grown, in every layer.
  ///
  /// Among codes no key is planted: there every layer is compared with Double over what is stored, elsewhere the first one is.
  func check() throws(BenchmarkError) -> CheckedAnswer {
    let (engine, fill) = (variant.engine, cache.fill)
    let isPlanted = fill.options.needles == .planted
    let parts = cache.checkedParts(layers: isPlanted ? 1 : layers)
    var found = SelfCheck()
    for layer in 0..<layers {
      if isPlanted {
        let asked = fill.checkQueries(layer: layer, for: engine, rows: 1)
        let (output, skippedMass) = try attend(layer, asked)
        found.merge(
          fill.check(
            layer: layer, output: output.span, for: engine, rows: 1, skippedMass: skippedMass))
        if layer > 0 { continue }
      }
      let asked = fill.ordinaryQueries(layer: layer, for: engine, rows: 1)
      let (output, skippedMass) = try attend(layer, asked)
      found.merge(
        try cache.compareWithDouble(
          output, queries: asked, layer: layer, parts: parts.parts(ofLayer: layer), reader: engine,
          rows: 1, skippedMass: skippedMass
        ).check)
    }
    return CheckedAnswer(found)
  }

  /// The newest token's attention in a layer, and the bound on what a horizon skipped.
  private func attend(
    _ layer: Int, _ asked: [Float]
  ) throws(BenchmarkError) -> (output: [Float], skippedMass: Double) {
    let engine = variant.engine
    var output = [Float](repeating: 0, count: asked.count)
    do throws(AttentionError) {
      try engine.begin(cache.requests(rows: 1))
      defer { engine.abandon() }
      var span = output.mutableSpan
      let report = try engine.attend(layer: layer, queries: asked.span, into: &span)
      damage?(&output)
      return (output, Double(report.skippedMassBound))
    } catch {
      throw .attention(error)
    }
  }
}
