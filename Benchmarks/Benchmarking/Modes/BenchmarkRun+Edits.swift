import StreamingAttention

extension BenchmarkRun {
  /// `edits`: what forks, shifts and rewinds of one sequence cost in 32 layers.
  func measureEdits() throws(BenchmarkError) {
    for context in options.contexts {
      for types in options.types {
        try checkInterrupt()
        let repeats = options.repeats ?? 8
        let shortest = EditTimes.shortestLength(repeats: repeats)
        guard context.largest >= shortest else {
          throw .option(
            name: "--context", received: "\(context.largest)",
            allowed: "at least \(shortest) for \(repeats) repetitions of edits")
        }
        observer.progress("edits of \(context.largest) tokens, \(types.name)")
        let times = try EditTimes(
          shape: options.shape, types: types, length: context.largest,
          repeats: repeats, workers: allWorkers, cancellation: cancellation)
        for edit in EditTimes.Edit.allCases {
          let samples = times[edit]
          var record = BenchmarkRecord(operation: edit.rawValue)
          record.describe(
            AttentionWork(shape: options.shape, types: types, context: context, rows: 0))
          record.describe(samples)
          record.layers = EditTimes.layers
          record.others = [
            BenchmarkRecord.Field("medianMicroseconds", samples.medianMilliseconds * 1_000)
          ]
          if edit == .fork {
            record.others.append(BenchmarkRecord.Field("forkedPages", times.forkedPages))
          }
          try finish(record)
        }
      }
    }
  }
}
