import Memory
import StreamingAttention

extension BenchmarkRun {
  /// `decode` and `prefill`: every type and context has one cache, which serves all encodings, threads and rows.
  func measureAttention() throws(BenchmarkError) {
    // The probes' memory comes before the caches are measured out.
    for set in options.instructionSets { _ = try meter(set) }
    for context in options.contexts {
      for types in options.types {
        try checkInterrupt()
        let cache = try filledCache(types, context)
        for set in options.instructionSets {
          for threads in options.threads {
            let workers = workers(threads)
            if options.mode != .prefill {
              try measure(cache, "decode", rows: 1, workers: workers, set: set)
            }
            if options.mode != .decode {
              for rows in options.queryLengths {
                try measure(cache, "prefill", rows: rows, workers: workers, set: set)
              }
            }
          }
        }
      }
    }
  }

  private func filledCache(
    _ types: StoredTypes, _ context: ContextMix
  ) throws(BenchmarkError) -> FilledCache {
    let work = AttentionWork(shape: options.shape, types: types, context: context, rows: 1)
    // A tenth stays free for queries, outputs and what else the machine does.
    let available = (Topology.availableMemoryBytes ?? 1 << 32) / 10 * 9
    let cycle = CyclePlan(
      layerBytes: work.bytes, cacheBytes: lastLevelCacheBytes, availableBytes: available)
    let title = "filling \(cycle.layers) layers of \(context), \(types.name)"
    observer.progress(title)
    return try FilledCache(
      shape: options.shape, types: types, context: context, cycle: cycle, seed: options.seed,
      workers: workers(options.threads.max() ?? 1), instructionSet: options.instructionSets[0]
    ) { (part: Double) throws(BenchmarkError) in
      observer.progress("\(title): \(Int(part * 100)) %")
      try checkInterrupt()
    }
  }

  private var lastLevelCacheBytes: Int { ProcessorFacts.largestCacheBytes ?? 32 << 20 }

  /// One record for each encoding, measured in turns.
  private func measure(
    _ cache: FilledCache, _ operation: String, rows: Int, workers: Workers, set: InstructionSet
  ) throws(BenchmarkError) {
    var variants: [AttentionVariant] = []
    for position in options.positions {
      variants.append(
        try AttentionVariant(
          position, epsilon: options.alibiEpsilon ?? 0, cache: cache.cache, shape: options.shape,
          workers: workers, instructionSet: set))
    }
    let work = AttentionWork(
      shape: options.shape, types: cache.types, context: cache.context, rows: rows)
    let title = "\(operation) \(cache.context), \(cache.types.name), \(workers.count) threads"
    observer.progress(title)
    let layers = rows == 1 ? cache.cycle.layers : min(cache.cycle.layers, 4)
    let width = cache.ids.count * rows * options.shape.queryHeads * options.shape.headDimension
    var generator = options.seed &+ 99
    let queries = (0..<layers).map { _ in
      (0..<width).map { _ in
        generator = generator &* 6364136223846793005 &+ 1442695040888963407
        return Float(Int32(truncatingIfNeeded: generator >> 32)) * 0x1p-31 * 1.7
      }
    }
    var output = [Float](repeating: 0, count: width)
    let repeats = options.repeats ?? (rows == 1 ? 20 : 3)
    let measurement = AttentionMeasurement(
      cache: cache, variants: variants, shape: options.shape, rows: rows, layers: layers,
      queries: queries)
    let meter = try meter(set)
    let measured = try Steadied<[Samples]>.measuring(
      threads: workers.count, attempts: options.attempts,
      limits: { () throws(BenchmarkError) in meter.sample(workers) }
    ) { () throws(BenchmarkError) in
      try measurement.run(
        repeats: repeats, output: &output, cancellation: cancellation,
        checked: { (_: Int, _: Int, _: Span<Float>) throws(BenchmarkError) in }
      ) { done in
        observer.progress("\(title): \(done) of \(repeats)")
      }
    }
    let base = variants.firstIndex { $0.position == PositionKind.none }
    for (index, variant) in variants.enumerated() {
      var record = Self.record(
        operation, work: work, samples: measured.value[index], limits: measured.limits,
        isInCache: cache.cycle.isInCache)
      record.position = variant.position.rawValue
      record.threads = workers.count
      record.instructionSet = set.rawValue
      record.layers = layers
      record.isSteady = measured.isSteady
      record.attempts = measured.attempts
      if let base, base != index {
        record.relativeToNone =
          measured.value[index].medianMilliseconds / measured.value[base].medianMilliseconds
      }
      try finish(record)
    }
  }

  /// What the figures of a dense record follow from.
  static func record(
    _ operation: String, work: AttentionWork, samples: Samples, limits: MeasuredLimits,
    isInCache: Bool
  ) -> BenchmarkRecord {
    var record = BenchmarkRecord(operation: operation)
    record.context = work.context.largest
    if work.context.lengths.count > 1 {
      record.contexts = work.context.description
      record.batch = work.context.lengths.count
    }
    record.queryLength = work.rows
    record.queryHeads = work.shape.queryHeads
    record.kvHeads = work.shape.kvHeads
    record.headDimension = work.shape.headDimension
    record.keyType = work.types.key.name
    record.valueType = work.types.value.name
    record.repetitions = samples.count
    record.minimumMilliseconds = samples.minimumMilliseconds
    record.medianMilliseconds = samples.medianMilliseconds
    record.p95Milliseconds = samples.p95Milliseconds
    record.keyValueBytesRead = work.bytes
    record.keyValueBytesSkipped = 0
    record.skippedMassBound = 0
    record.threadScaling = limits.threadScaling
    let nanoseconds = samples.medianMilliseconds * 1e6
    let peak = work.peak(limits)
    if operation == "decode" {
      let readTime = Double(work.bytes) / limits.read
      let arithmeticTime = work.operations / peak
      record.gigabytesPerSecond = Double(work.bytes) / nanoseconds
      record.readLimitGigabytesPerSecond = limits.read
      record.inCache = isInCache
      if !isInCache {
        record.fractionOfReadLimit = readTime / nanoseconds
        record.bindingLimit = readTime >= arithmeticTime ? .read : .arithmetic
        record.fractionOfBindingLimit = max(readTime, arithmeticTime) / nanoseconds
      }
    } else {
      record.gigaflopsPerSecond = work.operations / nanoseconds
      record.peakGigaflopsPerSecond = peak
      record.fractionOfPeak = work.operations / peak / nanoseconds
    }
    return record
  }
}
