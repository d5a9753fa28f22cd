import Memory
import StreamingAttention

extension BenchmarkRun {
  /// `decode` and `prefill`: every type and context has one cache, which serves all encodings, threads and rows.
  func measureAttention() throws(BenchmarkError) {
    // The probes' memory comes before the caches are measured out.
    for set in options.instructionSets { _ = try limits(set) }
    for context in options.contexts {
      for types in options.types {
        try checkInterrupt()
        let cache = try filledCache(types, context, rows: largestRows)
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

  private var largestRows: Int {
    options.mode == .decode ? 1 : options.queryLengths.reduce(1) { max($0, $1) }
  }

  /// Bytes that a cache may take; a tenth stays free for queries, outputs and what else the machine does.
  var fillableBytes: Int { (Topology.availableMemoryBytes ?? 1 << 32) / 10 * 9 }

  /// A new cache with planted keys, as many layers as the caches of the CPU ask for, `most` at most.
  func filledCache(
    _ types: StoredTypes, _ context: ContextMix, rows: Int,
    position: PositionKind = .rope, appended: Int = 0, most: Int = .max
  ) throws(BenchmarkError) -> FilledCache {
    let work = AttentionWork(shape: options.shape, types: types, context: context, rows: rows)
    let available = fillableBytes
    var cycle = CyclePlan(
      layerBytes: work.bytes, cacheBytes: machine.lastLevelCacheBytes, availableBytes: available)
    let grown = AttentionWork(
      shape: options.shape, types: types, context: context.longer(by: appended), rows: rows)
    cycle.layers = max(1, min(cycle.layers, most, available / max(grown.bytes, 1)))
    let title = "filling \(cycle.layers) layers of \(context), \(types.name)"
    observer.progress(title)
    let steepest = options.positions.contains(where: \.isBiased) ? steepestSlope : 0
    let filled = try FilledCache(
      FilledCache.Contents(
        shape: options.shape, types: types, context: context, cycle: cycle, appended: appended,
        position: position, rows: rows,
        options: FillOptions(
          seed: options.seed,
          // What a planted key makes of the codes beside it has no closed form: Double over the pages as stored has.
          needles: types.isQuantized ? .none : options.needles, anchorRun: options.anchorRun,
          rotation: options.keyRotation, steepestSlope: steepest)),
      workers: allWorkers, instructionSet: options.instructionSets[0],
      cancellation: cancellation
    ) { [observer] part in
      observer.progress("\(title): \(Int(part * 100)) %")
    }
    machine.afterFilling?(filled)
    return filled
  }

  private var steepestSlope: Double {
    (try? AttentionVariant.alibi(options.shape)).flatMap { $0.slopes.max() }.map { Double($0) } ?? 0
  }

  /// One record for each encoding, measured in turns; encodings with a horizon in turns of their own, since what
  /// they leave unread would let the others find more in the caches.
  private func measure(
    _ cache: FilledCache, _ operation: String, rows: Int, workers: Workers, set: InstructionSet
  ) throws(BenchmarkError) {
    let epsilon = options.alibiEpsilon ?? 0
    let dense = options.positions.filter { epsilon == 0 || !$0.isBiased }
    let medians = try measure(
      cache, operation, rows: rows, workers: workers, set: set, dense, epsilon: 0, dense: [:])
    var skipping = options.positions.filter { epsilon > 0 && $0.isBiased }
    var horizon = epsilon
    if options.alibiEpsilon == nil, operation == "decode" {
      skipping = options.positions.filter(\.isBiased)
      horizon = LayerAttention.defaultALiBiEpsilon
    }
    _ = try measure(
      cache, operation, rows: rows, workers: workers, set: set, skipping, epsilon: horizon,
      dense: medians)
  }

  /// Medians by encoding.
  private func measure(
    _ cache: FilledCache, _ operation: String, rows: Int, workers: Workers, set: InstructionSet,
    _ positions: [PositionKind], epsilon: Float, dense: [PositionKind: Double]
  ) throws(BenchmarkError) -> [PositionKind: Double] {
    guard !positions.isEmpty else { return [:] }
    var variants: [AttentionVariant] = []
    for position in positions {
      variants.append(
        try AttentionVariant(
          position, epsilon: position.isBiased ? epsilon : 0, rotation: options.keyRotation,
          cache: cache.cache, shape: options.shape, workers: workers, instructionSet: set))
    }
    let title = "\(operation) \(cache.context), \(cache.types.name), \(workers.count) threads"
    observer.progress(title)
    // Prefill computes more than it reads, and its queries take room: two layers do.
    let layers = rows == 1 ? cache.cycle.layers : min(cache.cycle.layers, 2)
    let measurement = try AttentionMeasurement(
      cache: cache, variants: variants, rows: rows, layers: layers, cancellation: cancellation,
      damage: machine.afterAttending)
    let repeats = options.repeats ?? (operation == "decode" ? 15 : 3)
    let measured = try steadily(workers: workers, instructionSet: set) {
      () throws(BenchmarkError) in
      try measurement.run(repeats: repeats) { done in
        observer.progress("\(title): \(done) of \(repeats)")
      }
    }
    let work = AttentionWork(
      shape: options.shape, types: cache.types, context: cache.context, rows: rows)
    var medians: [PositionKind: Double] = [:]
    for (index, variant) in variants.enumerated() {
      medians[variant.position] = measured.value[index].samples.medianMilliseconds
    }
    for (index, variant) in variants.enumerated() {
      var record = AttentionRecord.make(
        operation, work: work, result: measured.value[index], limits: measured.limits,
        layers: layers, cacheBytes: machine.lastLevelCacheBytes)
      record.position = variant.position.rawValue
      if options.keyRotation != .stored { record.keyRotation = options.keyRotation.rawValue }
      record.anchorRun = options.anchorRun
      if options.needles == .none { record.keys = "plain" }
      if variant.position.isBiased { record.alibiEpsilon = variant.epsilon }
      record.threads = workers.count
      record.instructionSet = set.rawValue
      record.isSteady = measured.isSteady
      record.attempts = measured.attempts
      let median = medians[variant.position] ?? .nan
      if variant.epsilon == 0, variant.position != .none, let none = medians[.none] {
        record.relativeToNone = median / none
      }
      if variant.epsilon > 0, let dense = dense[variant.position] {
        record.speedupOverDense = dense / median
      }
      let found = try measurement.relativeError(index)
      record.relativeError = found.error.l2
      record.selfCheck?.add(found.check)
      try finish(record)
    }
    return medians
  }
}
