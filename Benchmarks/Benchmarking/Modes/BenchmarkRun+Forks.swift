import StreamingAttention

extension BenchmarkRun {
  /// `forks`: a token of each of several forks of a long sequence in one step.
  func measureForks() throws(BenchmarkError) {
    for set in options.instructionSets { _ = try limits(set) }
    for context in options.contexts {
      for types in options.types {
        try checkInterrupt()
        let cache = try filledCache(types, context, rows: 1)
        for set in options.instructionSets {
          for threads in options.threads {
            for position in options.positions {
              try measureForks(cache, position, workers: workers(threads), set: set)
            }
          }
        }
      }
    }
  }

  private func measureForks(
    _ cache: FilledCache, _ position: PositionKind, workers: Workers, set: InstructionSet
  ) throws(BenchmarkError) {
    let variant = try AttentionVariant(
      position, epsilon: 0, rotation: options.keyRotation, cache: cache.cache,
      shape: options.shape, workers: workers, instructionSet: set)
    let title = "\(options.forks) forks of \(cache.context), \(cache.types.name)"
    observer.progress(title)
    let measurement = try ForkMeasurement(
      cache: cache, variant: variant, count: options.forks, cancellation: cancellation,
      damage: machine.afterAttending)
    defer { try? measurement.drop() }
    let repeats = options.repeats ?? 15
    let measured = try steadily(workers: workers, instructionSet: set) {
      () throws(BenchmarkError) in
      try measurement.run(repeats: repeats) { done in
        observer.progress("\(title): \(done) of \(repeats)")
      }
    }
    let work = AttentionWork(
      shape: options.shape, types: cache.types,
      context: ContextMix(cache.context.largest, count: options.forks), rows: 1)
    var record = AttentionRecord.make(
      "decode", work: work, result: measured.value.all, limits: measured.limits,
      layers: cache.cycle.layers, cacheBytes: machine.lastLevelCacheBytes)
    record.operation = "forks"
    record.position = position.rawValue
    record.threads = workers.count
    record.instructionSet = set.rawValue
    record.isSteady = measured.isSteady
    record.attempts = measured.attempts
    let one = measured.value.one.medianMilliseconds
    record.others = [
      BenchmarkRecord.Field("oneMilliseconds", one),
      BenchmarkRecord.Field("timesOne", measured.value.all.samples.medianMilliseconds / one),
    ]
    try finish(record)
  }
}
