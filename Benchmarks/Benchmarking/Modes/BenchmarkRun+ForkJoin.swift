import StreamingAttention

extension BenchmarkRun {
  /// `fork-join`: what a step costs that has nothing to do, and what idle workers use.
  func measureForkJoin() throws(BenchmarkError) {
    for threads in options.threads {
      let workers = workers(threads)
      let steps = options.repeats ?? 20_000
      observer.progress("fork-join, \(threads) threads")
      // Until everybody is there.
      var warm = Samples()
      _ = ForkJoinProbe.run(workers, steps: 200, into: &warm)
      var (excess, unshared) = (Samples(), 0)
      while excess.count < steps {
        try checkInterrupt()
        unshared += ForkJoinProbe.run(
          workers, steps: min(1_000, steps - excess.count), into: &excess)
      }
      var record = BenchmarkRecord(operation: "fork-join")
      record.threads = threads
      record.repetitions = excess.count
      record.minimumMilliseconds = excess.minimumMilliseconds
      record.medianMilliseconds = excess.medianMilliseconds
      record.p95Milliseconds = excess.p95Milliseconds
      record.p99Milliseconds = excess.p99Milliseconds
      record.others = [
        BenchmarkRecord.Field("medianMicroseconds", excess.medianMilliseconds * 1_000),
        BenchmarkRecord.Field("p99Microseconds", excess.p99Milliseconds * 1_000),
        BenchmarkRecord.Field("unsharedSteps", unshared),
        BenchmarkRecord.Field("idleCPU", ForkJoinProbe.idleCPU(milliseconds: 200)),
      ]
      try finish(record)
    }
  }
}
