import StreamingAttention

/// What was measured of one encoding.
struct VariantResult {
  var samples = Samples()
  var report = AttentionReport()
  var checker = AnswerChecker()
}

/// Measures some encodings over one filled cache, in turns.
final class AttentionMeasurement {
  let cache: FilledCache
  let variants: [AttentionVariant]
  /// Query rows of each sequence.
  let rows: Int
  /// Layers that take turns.
  let layers: Int
  private let cancellation: CancellationFlag
  /// `[variant][layer]`, each `[row][queryHead][channel]`.
  private let queries: [[[Float]]]

  init(
    cache: FilledCache, variants: [AttentionVariant], rows: Int, layers: Int,
    cancellation: CancellationFlag
  ) {
    self.cache = cache
    self.variants = variants
    self.rows = rows
    self.layers = layers
    self.cancellation = cancellation
    queries = variants.map { variant in
      (0..<layers).map { layer in
        cache.fill.options.needles == .planted
          ? cache.fill.checkQueries(layer: layer, for: variant.engine, rows: rows)
          : cache.fill.plainQueries(layer: layer, for: variant.engine, rows: rows)
      }
    }
  }

  /// Times and answers of each variant.
  ///
  /// Every repetition of an encoding takes the next layer, and the order of the encodings moves on by one from
  /// repetition to repetition: so each meets every layer, and what the machine does meanwhile meets all alike.
  func run(
    repeats: Int, progress: (Int) -> Void
  ) throws(BenchmarkError) -> [VariantResult] {
    var results = [VariantResult](repeating: VariantResult(), count: variants.count)
    var output = [Float](repeating: 0, count: queries[0][0].count)
    var turn = 0
    // In decode one repetition more than counts, so that everybody is awake; in prefill that takes no part of the time.
    for repetition in (rows == 1 ? -1 : 0)..<repeats {
      for index in variants.indices {
        let variant = (index + repetition + 1) % variants.count
        let layer = turn % layers
        turn += 1
        let (time, report) = try attend(
          variant, layer: layer, queries[variant][layer], into: &output)
        if repetition >= 0 { results[variant].samples.add(time) }
        results[variant].report = report
        try results[variant].checker.add(output.span, layer: layer) {
          () throws(BenchmarkError) in
          try check(output, of: variant, layer: layer, report)
        }
      }
      progress(max(repetition + 1, 0))
    }
    return results
  }

  /// Compares an output with what is known: the planted answer; without one, the dense output where a horizon left
  /// keys unread, and else Double over the values as stored.
  private func check(
    _ output: [Float], of variant: Int, layer: Int, _ report: AttentionReport
  ) throws(BenchmarkError) -> SelfCheck {
    let (variant, asked) = (variants[variant], queries[variant][layer])
    if cache.fill.options.needles == .planted {
      return cache.fill.check(
        layer: layer, output: output.span, for: variant.engine, rows: rows,
        skippedMass: Double(report.skippedMassBound))
    }
    if variant.epsilon > 0 {
      let dense = try AttentionVariant(
        variant.position, epsilon: 0, rotation: cache.fill.options.rotation,
        cache: cache.cache, shape: cache.shape, workers: variant.engine.workers,
        instructionSet: variant.engine.instructionSet)
      var expected = output
      _ = try attend(dense.engine, layer: layer, asked, into: &expected)
      return PlainCheck.horizon(
        output, dense: expected, skippedMass: Double(report.skippedMassBound),
        valueWidth: cache.shape.headDimension)
    }
    let fill = cache.fill
    let error = try BenchmarkError.wrapping { () throws(FillError) in
      try fill.relativeError(
        layer: layer, queries: asked.span, output: output.span, for: variant.engine, rows: rows
      ).l2
    }
    return PlainCheck.dense(
      error: error, types: cache.types, instructionSet: variant.engine.instructionSet)
  }

  /// Relative L2 error against Double of the newest row of one KV head's query heads.
  ///
  /// Queries of unit variance; half of that where keys are planted, so that these, five times as long as the others,
  /// do not outweigh all of them.
  func relativeError(_ variant: Int) throws(BenchmarkError) -> Double {
    let engine = variants[variant].engine
    var asked = cache.fill.plainQueries(layer: 0, for: engine, rows: rows)
    if cache.fill.options.needles == .planted {
      for index in asked.indices { asked[index] /= 2 }
    }
    var output = [Float](repeating: 0, count: asked.count)
    _ = try attend(variant, layer: 0, asked, into: &output)
    return try BenchmarkError.wrapping { () throws(FillError) in
      try cache.fill.relativeError(
        layer: 0, queries: asked.span, output: output.span, for: engine, rows: rows
      ).l2
    }
  }

  /// One layer's attention, with its time in nanoseconds.
  private func attend(
    _ variant: Int, layer: Int, _ asked: [Float], into output: inout [Float]
  ) throws(BenchmarkError) -> (UInt64, AttentionReport) {
    try attend(variants[variant].engine, layer: layer, asked, into: &output)
  }

  private func attend(
    _ engine: AttentionEngine, layer: Int, _ asked: [Float], into output: inout [Float]
  ) throws(BenchmarkError) -> (UInt64, AttentionReport) {
    do throws(AttentionError) {
      try engine.begin(cache.requests(rows: rows))
      defer { engine.abandon() }
      var span = output.mutableSpan
      let start = Stopwatch.now
      let report = try engine.attend(
        layer: layer, queries: asked.span, into: &span, cancellation: cancellation)
      return (Stopwatch.now - start, report)
    } catch {
      throw error == .cancelled ? .interrupted : .attention(error)
    }
  }
}
