import StreamingAttention

extension BenchmarkRun {
  /// `limits`: read bandwidth and arithmetic peaks for 1…n threads.
  func measureLimits() throws(BenchmarkError) {
    for set in options.instructionSets {
      let meter = try makeMeter(set)
      for threads in 1...(options.threads.max() ?? 1) {
        observer.progress("limits, \(threads) threads")
        for (limit, passes) in meter.passes(workers(threads)) {
          try checkInterrupt()
          try finish(Self.record(of: limit, passes: passes, threads: threads, set: set))
        }
      }
    }
  }

  static func record(
    of limit: MachineLimit, passes: [Double], threads: Int, set: InstructionSet
  ) -> BenchmarkRecord {
    let sorted = passes.sorted()
    var record = BenchmarkRecord(operation: "limits")
    record.threads = threads
    record.instructionSet = set.rawValue
    record.repetitions = passes.count
    record.others = [
      BenchmarkRecord.Field("limit", limit.rawValue),
      BenchmarkRecord.Field("unit", limit == .read ? "GB/s" : "Gop/s"),
      BenchmarkRecord.Field("best", sorted.last ?? .nan),
      BenchmarkRecord.Field("median", sorted[sorted.count / 2]),
      BenchmarkRecord.Field("worst", sorted.first ?? .nan),
    ]
    return record
  }
}
