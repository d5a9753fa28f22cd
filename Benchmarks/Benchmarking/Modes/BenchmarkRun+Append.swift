import StreamingAttention

extension BenchmarkRun {
  /// More layers than a small model has only make the step longer.
  private static let mostAppendedLayers = 32

  /// Layers of every context: as many as the longest takes, so that steps can be compared.
  private func appendedLayers(_ types: StoredTypes) -> Int {
    let bytes = options.contexts.map {
      AttentionWork(shape: options.shape, types: types, context: $0, rows: 1).bytes
    }
    let plan = CyclePlan(
      layerBytes: bytes.max() ?? 1, cacheBytes: machine.lastLevelCacheBytes,
      availableBytes: fillableBytes)
    return min(plan.layers, Self.mostAppendedLayers)
  }

  /// `append`: steps of one token that a filled cache grows by, in all layers; what grew is checked at the end.
  func measureAppend() throws(BenchmarkError) {
    for set in options.instructionSets { _ = try limits(set) }
    let repeats = options.repeats ?? BenchmarkOptions.appendedTokens
    for types in options.types {
      let layers = appendedLayers(types)
      for context in options.contexts {
        for set in options.instructionSets {
          for threads in options.threads {
            for position in appendedPositions {
              try checkInterrupt()
              let cache = try filledCache(
                types, context, rows: 1, position: position, appended: repeats,
                most: layers)
              try measureAppend(
                cache, position, repeats: repeats, workers: workers(threads), set: set)
            }
          }
        }
      }
    }
  }

  /// To a key being appended, biases are as good as no positions.
  private var appendedPositions: [PositionKind] {
    [.none, .rope].filter { kind in options.positions.contains { $0.turns == kind.turns } }
  }

  private func measureAppend(
    _ cache: FilledCache, _ position: PositionKind, repeats: Int, workers: Workers,
    set: InstructionSet
  ) throws(BenchmarkError) {
    let variant = try AttentionVariant(
      position, epsilon: 0, rotation: options.keyRotation, cache: cache.cache,
      shape: options.shape, workers: workers, instructionSet: set)
    let growth = try CacheGrowth(
      cache, variant: variant, repeats: repeats, damage: machine.afterAttending)
    observer.progress("append to \(cache.context), \(cache.types.name), \(workers.count) threads")
    // Not again where the machine moves: what has grown has grown.
    let measured = try steadily(workers: workers, instructionSet: set, attempts: 1) {
      [cancellation] () throws(BenchmarkError) in try growth.run(cancellation: cancellation)
    }
    let work = AttentionWork(
      shape: options.shape, types: cache.types, context: cache.context, rows: 0)
    var record = BenchmarkRecord(operation: "append")
    record.describe(work)
    record.describe(measured.value)
    record.p99Milliseconds = measured.value.p99Milliseconds
    record.position = position.rawValue
    if options.keyRotation != .stored { record.keyRotation = options.keyRotation.rawValue }
    record.threads = workers.count
    record.instructionSet = set.rawValue
    record.layers = cache.cycle.layers
    record.threadScaling = measured.limits.threadScaling
    record.isSteady = measured.isSteady
    record.attempts = measured.attempts
    record.selfCheck = try growth.check()
    let pages = Double(cache.cache.byteCount) / Double(cache.cache.formulaBytes)
    record.others = [
      BenchmarkRecord.Field("committedPerLiveByte", pages)
    ]
    try finish(record)
  }
}
