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
  /// Changes an output before it is looked at, as tests do.
  private let damage: ((inout [Float]) -> Void)?
  /// What Double is asked for, layer by layer.
  private let parts: CheckedParts
  /// `[variant][layer]`, each `[row][queryHead][channel]`.
  private let queries: [[[Float]]]

  init(
    cache: FilledCache, variants: [AttentionVariant], rows: Int, layers: Int,
    cancellation: CancellationFlag, damage: ((inout [Float]) -> Void)? = nil
  ) throws(BenchmarkError) {
    // Queries of every encoding and layer, an output and the dense one beside it, and those of the relative error.
    try RowMemory.demand(
      (variants.count * layers + 4) * cache.context.lengths.count * rows * cache.shape.queryHeads
        * cache.shape.headDimension)
    self.damage = damage
    // A row of prefill at either end is compared.
    parts = cache.checkedParts(
      layers: layers, keys: CheckedParts.mostKeys / (rows == 1 ? 1 : 2))
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
  /// keys unread, and else Double over the values as stored, in the parts whose turn it is.
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
    return try cache.compareWithDouble(
      output, queries: asked, layer: layer, parts: parts.parts(ofLayer: layer),
      reader: variant.engine, rows: rows
    ).check
  }

  /// Rows of the first layer beside Double, of as many sequences and KV heads as ``CheckedParts`` allows: the relative L2
  /// error of all of them together, and whether each is as near as its types allow.
  ///
  /// Queries have unit variance and meet ordinary keys: planted ones score 0 there.
  func relativeError(
    _ variant: Int
  ) throws(BenchmarkError) -> (check: SelfCheck, error: RelativeError) {
    let engine = variants[variant].engine
    let asked = cache.fill.ordinaryQueries(layer: 0, for: engine, rows: rows)
    var output = [Float](repeating: 0, count: asked.count)
    let (_, report) = try attend(variant, layer: 0, asked, into: &output)
    return try cache.compareWithDouble(
      output, queries: asked, layer: 0,
      parts: cache.checkedParts(layers: 1, keys: Self.mostKeys / (rows == 1 ? 1 : 2))
        .parts(ofLayer: 0), reader: engine,
      rows: rows, skippedMass: Double(report.skippedMassBound))
  }

  /// Keys that Double reads for one relative error.
  private static let mostKeys = CheckedParts.mostKeys / 2

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
      let time = Stopwatch.now - start
      damage?(&output)
      return (time, report)
    } catch {
      throw error == .cancelled ? .interrupted : .attention(error)
    }
  }
}
