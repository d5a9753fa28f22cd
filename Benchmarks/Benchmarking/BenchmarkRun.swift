import Memory
package import StreamingAttention

/// What a run reports to.
package struct BenchmarkObserver {
  /// Takes a finished record.
  package var record: (BenchmarkRecord) throws(BenchmarkError) -> Void
  /// Shows what is being done.
  package var progress: (String) -> Void

  package init(
    record: @escaping (BenchmarkRecord) throws(BenchmarkError) -> Void,
    progress: @escaping (String) -> Void
  ) {
    self.record = record
    self.progress = progress
  }
}

/// A run of the benchmark.
package final class BenchmarkRun {
  let options: BenchmarkOptions
  let observer: BenchmarkObserver
  let cancellation: CancellationFlag
  private var workersByCount: [Int: Workers] = [:]
  private var memory: ProbeMemory?
  private var meters: [InstructionSet: LimitMeter] = [:]
  /// Whether all answers checked so far were right.
  package var allPassed = true

  package init(
    options: BenchmarkOptions, observer: BenchmarkObserver, cancellation: CancellationFlag
  ) {
    self.options = options
    self.observer = observer
    self.cancellation = cancellation
  }

  /// Measures everything that the options ask for; records are handed out as they are finished.
  ///
  /// - Throws: ``BenchmarkError``, `interrupted` when the flag was set; records handed out before stand.
  package func run() throws(BenchmarkError) {
    switch options.mode {
    case nil, .decode, .prefill: try measureAttention()
    case .limits: try measureLimits()
    case .forkJoin: try measureForkJoin()
    case .append, .model, .compare:
      throw .option(
        name: "mode", received: options.mode?.rawValue ?? "", allowed: "decode, prefill, limits")
    }
  }

  func finish(_ record: BenchmarkRecord) throws(BenchmarkError) {
    if record.selfCheck?.passed == false { allPassed = false }
    try observer.record(record)
  }

  func checkInterrupt() throws(BenchmarkError) {
    if cancellation.isCancelled { throw .interrupted }
  }

  /// Workers of a count, kept for the whole run.
  func workers(_ count: Int) -> Workers {
    if let workers = workersByCount[count] { return workers }
    let workers = Workers(count: count)
    workersByCount[count] = workers
    return workers
  }

  /// The probes of an instruction set.
  func meter(_ instructionSet: InstructionSet) throws(BenchmarkError) -> LimitMeter {
    if let meter = meters[instructionSet] { return meter }
    let memory: ProbeMemory
    if let known = self.memory {
      memory = known
    } else {
      memory = try ProbeMemory(workers: workers(options.threads.max() ?? 1))
      self.memory = memory
    }
    let meter = LimitMeter(memory: memory, instructionSet: instructionSet)
    meters[instructionSet] = meter
    return meter
  }
}
