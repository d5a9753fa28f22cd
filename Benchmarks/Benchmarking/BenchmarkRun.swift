import Memory
import Models
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
  var options: BenchmarkOptions
  let observer: BenchmarkObserver
  let cancellation: CancellationFlag
  /// The machine as tests may describe it.
  var machine = BenchmarkMachine()
  private var workersByCount: [Int: Workers] = [:]
  private var memory: ProbeMemory?
  private var meters: [InstructionSet: any LimitSource] = [:]
  private var recentLimits: RecentLimits?
  /// Records that wait for others to be compared with; nil where they are handed out at once.
  var held: [BenchmarkRecord]?
  /// Whether all answers checked so far were right.
  private var allPassed = true

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
    do throws(BenchmarkError) {
      try measure()
      // Whatever was measured last may not have looked.
      try checkInterrupt()
    } catch {
      // There is no option here that would set the cache's limit.
      switch error {
      case .cache(.outOfMemory(let needed, let allowed)),
        .attention(.cache(.outOfMemory(let needed, let allowed))):
        throw .cacheLimit(needed: needed, allowed: allowed)
      case .cache(.refused(.outOfAddressSpace(let byteCount))),
        .model(.attention(.cache(.refused(.outOfAddressSpace(let byteCount))))):
        throw .memory(.outOfAddressSpace(byteCount: byteCount))
      default: throw error
      }
    }
  }

  /// Throws where an answer was wrong, once everything has been measured.
  package func checkAnswers() throws(BenchmarkError) {
    if !allPassed { throw .wrongAnswer }
  }

  private func measure() throws(BenchmarkError) {
    switch options.mode {
    case nil, .decode, .prefill: try measureAttention()
    case .limits: try measureLimits()
    case .forkJoin: try measureForkJoin()
    case .append: try measureAppend()
    case .edits: try measureEdits()
    case .forks: try measureForks()
    case .model: try measureModel(options.argument ?? "")
    case .compare: try compare(options.argument ?? "")
    }
  }

  /// Takes a finished record.
  func finish(_ record: BenchmarkRecord) throws(BenchmarkError) {
    if record.selfCheck?.passed == false { allPassed = false }
    if let held { self.held = held + [record] } else { try observer.record(record) }
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

  /// The most workers that the run asks for: they fill what others measure.
  var allWorkers: Workers { workers(options.threads.reduce(1) { max($0, $1) }) }

  /// Where the limits for an instruction set come from; the probes' memory is taken with the first call.
  func limits(_ instructionSet: InstructionSet) throws(BenchmarkError) -> any LimitSource {
    if let source = machine.limits { return source }
    if let meter = meters[instructionSet] { return meter }
    let meter = try makeMeter(instructionSet)
    meters[instructionSet] = meter
    return meter
  }

  /// The probes of an instruction set.
  func makeMeter(_ instructionSet: InstructionSet) throws(BenchmarkError) -> LimitMeter {
    let memory: ProbeMemory
    if let known = self.memory {
      memory = known
    } else {
      memory = try ProbeMemory(workers: allWorkers)
      self.memory = memory
    }
    return LimitMeter(memory: memory, instructionSet: instructionSet)
  }

  /// Measures with the limits around it, again and again while the machine does not hold still.
  ///
  /// The limits after one measurement are those before the next where that begins at once.
  func steadily<Value>(
    workers: Workers, instructionSet: InstructionSet, attempts: Int? = nil,
    _ body: () throws(BenchmarkError) -> Value
  ) throws(BenchmarkError) -> Steadied<Value> {
    let source = try limits(instructionSet)
    var known = recentLimits.flatMap { recent in
      recent.isFor(workers, instructionSet) ? recent.sample : nil
    }
    let result = try Steadied<Value>.measuring(
      threads: workers.count, attempts: attempts ?? options.attempts,
      limits: { () throws(BenchmarkError) in
        try checkInterrupt()
        defer { known = nil }
        return known ?? source.sample(workers)
      }, body)
    recentLimits = RecentLimits(
      sample: result.limits.after, threads: workers.count, instructionSet: instructionSet,
      time: Stopwatch.now)
    return result
  }
}

/// The limits after the last measurement.
private struct RecentLimits {
  var sample: LimitSample
  var threads: Int
  var instructionSet: InstructionSet
  var time: UInt64

  /// Whether another measurement may still take them as its limits before.
  func isFor(_ workers: Workers, _ set: InstructionSet) -> Bool {
    threads == workers.count && instructionSet == set && Stopwatch.now - time < 2_000_000_000
  }
}

/// What a run takes from the machine; tests describe another.
struct BenchmarkMachine {
  /// Bytes of the largest cache; where the system does not say, that of a common desktop.
  var lastLevelCacheBytes = ProcessorFacts.largestCacheBytes ?? 32 << 20
  /// In place of the probes.
  var limits: (any LimitSource)?
  /// Called with every cache once it is filled, to damage it.
  var afterFilling: ((FilledCache) -> Void)?
  /// Called with every output before it is looked at, `[row][queryHead][channel]`, to damage it.
  var afterAttending: ((inout [Float]) -> Void)?
}
