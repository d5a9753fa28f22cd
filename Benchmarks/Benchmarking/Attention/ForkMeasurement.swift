import StreamingAttention

/// Decoding of several forks of one sequence in a step, in turns with decoding of that sequence alone.
final class ForkMeasurement {
  private let cache: FilledCache
  private let engine: AttentionEngine
  private let cancellation: CancellationFlag
  /// Changes an output before it is looked at, as tests do.
  private let damage: ((inout [Float]) -> Void)?
  /// What Double is asked for, layer by layer.
  private let parts: CheckedParts
  /// The filled sequence, then its forks, each with as many tokens of its own as its place says.
  private var sequences: [SequenceID]
  /// `[layer]`, each `[sequence][queryHead][channel]`.
  private let queries: [[Float]]

  /// Forks the one sequence of a filled cache until there are `count`.
  init(
    cache: FilledCache, variant: AttentionVariant, count: Int, cancellation: CancellationFlag,
    damage: ((inout [Float]) -> Void)? = nil
  ) throws(BenchmarkError) {
    // Queries of every layer, and the outputs of all and of one.
    try RowMemory.demand(
      (cache.cycle.layers + 2) * count * cache.shape.queryHeads * cache.shape.headDimension)
    self.cache = cache
    self.damage = damage
    parts = cache.checkedParts(layers: cache.cycle.layers)
    engine = variant.engine
    self.cancellation = cancellation
    let fill = cache.fill
    let engine = variant.engine
    // The first asks what has a known answer, the others other things.
    queries = (0..<cache.cycle.layers).map { layer in
      let plain = fill.plainQueries(layer: layer, for: engine, rows: 1)
      let first =
        fill.options.needles == .planted
        ? fill.checkQueries(layer: layer, for: engine, rows: 1) : plain
      return (1..<count).reduce(into: first) {
        $0 += plain[$1...] + plain[..<$1]
      }
    }
    sequences = fill.ids
    do throws(BenchmarkError) {
      for own in 1..<count { try addFork(tokens: own) }
    } catch {
      try drop()
      throw error
    }
  }

  private func addFork(tokens: Int) throws(BenchmarkError) {
    let original = cache.fill.ids[0]
    let fork = try BenchmarkError.wrapping { () throws(CacheError) in
      try cache.cache.fork(original)
    }
    sequences.append(fork)
    do throws(AttentionError) { try append(tokens, to: fork) } catch { throw .attention(error) }
  }

  private func append(_ tokens: Int, to fork: SequenceID) throws(AttentionError) {
    let count = tokens * cache.shape.kvHeads * cache.shape.headDimension
    let numbers = (0..<count).map { queries[0][$0 % queries[0].count] }
    try engine.begin([StepRequest(fork, appending: tokens, querying: 0)])
    for layer in queries.indices {
      do throws(AttentionError) {
        try engine.append(layer: layer, keys: numbers.span, values: numbers.span)
      } catch {
        engine.abandon()
        throw error
      }
    }
    engine.commit()
  }

  /// Drops the forks.
  func drop() throws(BenchmarkError) {
    for fork in sequences.dropFirst() {
      try BenchmarkError.wrapping { () throws(CacheError) in try cache.cache.drop(fork) }
    }
    sequences.removeSubrange(1...)
  }

  /// Times of the sequence alone, and times and answers of all in one step.
  func run(
    repeats: Int, progress: (Int) -> Void
  ) throws(BenchmarkError) -> (one: Samples, all: VariantResult) {
    var (one, all) = (Samples(), VariantResult())
    var turn = 0
    for repetition in -1..<repeats {
      // The order changes, so that neither always finds what the other has left in the caches.
      for isOne in repetition % 2 == 0 ? [true, false] : [false, true] {
        let layer = turn % queries.count
        turn += 1
        let (time, report, output) = try attend(isOne ? 0..<1 : sequences.indices, layer: layer)
        guard !isOne else {
          if repetition >= 0 { one.add(time) }
          continue
        }
        if repetition >= 0 { all.samples.add(time) }
        all.report = report
        try all.checker.add(output.span, layer: layer) { () throws(BenchmarkError) in
          try check(output, layer: layer)
        }
      }
      progress(max(repetition + 1, 0))
    }
    return (one, all)
  }

  /// The first sequence's answer is known, or compared with Double over codes, and each has the bits that it has alone.
  private func check(_ output: [Float], layer: Int) throws(BenchmarkError) -> SelfCheck {
    let width = output.count / sequences.count
    let known = Array(output[..<width])
    let isPlanted = cache.fill.options.needles == .planted
    var found = SelfCheck()
    if isPlanted {
      found.merge(cache.fill.check(layer: layer, output: known.span, for: engine, rows: 1))
      // Ordinary keys weigh nothing there; in the first layer they are asked for by themselves.
      if layer == 0 {
        let asked = cache.fill.ordinaryQueries(layer: 0, for: engine, rows: 1)
        let answers = try attend(0..<1, layer: 0, asking: asked).2
        found.merge(
          try cache.compareWithDouble(
            answers, queries: asked, layer: 0,
            parts: cache.checkedParts(layers: 1).parts(ofLayer: 0), reader: engine, rows: 1
          ).check)
      }
    } else {
      found.merge(
        try cache.compareWithDouble(
          known, queries: Array(queries[layer][..<width]), layer: layer,
          parts: parts.parts(ofLayer: layer), reader: engine, rows: 1
        ).check)
    }
    for number in sequences.indices {
      let alone = try attend(number..<number + 1, layer: layer).2
      if !alone.elementsEqual(output[number * width..<(number + 1) * width]) {
        found.merge(SelfCheck(maximumError: .infinity, tolerance: 0, ratio: .infinity))
      }
    }
    return found
  }

  /// One layer's attention of some of the sequences, with its time in nanoseconds.
  private func attend(
    _ which: Range<Int>, layer: Int, asking others: [Float]? = nil
  ) throws(BenchmarkError) -> (UInt64, AttentionReport, [Float]) {
    let width = queries[layer].count / sequences.count
    let asked =
      others ?? Array(queries[layer][which.lowerBound * width..<which.upperBound * width])
    var output = [Float](repeating: 0, count: asked.count)
    do throws(AttentionError) {
      try engine.begin(which.map { StepRequest(sequences[$0], appending: 0, querying: 1) })
      defer { engine.abandon() }
      var span = output.mutableSpan
      let start = Stopwatch.now
      let report = try engine.attend(
        layer: layer, queries: asked.span, into: &span, cancellation: cancellation)
      let time = Stopwatch.now - start
      damage?(&output)
      return (time, report, output)
    } catch {
      throw error == .cancelled ? .interrupted : .attention(error)
    }
  }
}
