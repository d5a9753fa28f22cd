package import Benchmarking
import Generation
import Memory
package import StreamingAttention

/// A run of `attend stress`: operations on a cache and on its naive twin, compared all the way.
package final class StressRun {
  package let options: StressOptions
  /// Shows what is being done.
  private let progress: (String) -> Void
  let cancellation: CancellationFlag
  var subject: StressSubject
  /// What it does now.
  var season = StressSeason(.mixed)
  /// The program that makes processes to kill; nil for none.
  package var program: String?
  /// Called with what a process that is to be killed has done.
  package var report: ((String) throws(BenchmarkError) -> Void)?
  /// Where snapshots go, once there are any.
  var snapshots: StressSnapshots?
  var random: SplitMix64
  package internal(set) var figures = StressFigures()
  private(set) var failure: String?
  private let start = Stopwatch.now
  private var lastProgress: UInt64 = 0
  /// Where memory has several nodes, the system says what lies on each; it takes long to.
  private let hasNodes = Topology.current.nodes.count > 1
  private var lastNodes: UInt64 = 0
  /// Whether nothing else runs in the process, so that its memory is the run's.
  package var ownsProcess = false
  /// Bytes that the process may have more of at the end than at the start.
  private static let mostResident = 16 << 20

  /// Prepares an empty cache.
  ///
  /// - Throws: ``BenchmarkError`` where the cache or the engine refuses the options.
  package init(
    _ options: StressOptions, cancellation: CancellationFlag, progress: @escaping (String) -> Void
  ) throws(BenchmarkError) {
    self.options = options
    self.cancellation = cancellation
    self.progress = progress
    subject = try StressSubject(options)
    random = SplitMix64(seed: options.seed)
  }

  /// Does all that the options ask for.
  ///
  /// - Throws: ``StressError``: `failed` after the first check that fails; ``summary`` holds what was done before.
  package func run() throws(StressError) {
    figures.residentBytesAtStart = ProcessMemory.residentBytes
    defer { conclude() }
    do throws(StressError) {
      // An interrupt ends the wait for a folder that another process has locked.
      let patience = TurnPatience { [cancellation] in cancellation.isCancelled }
      try TurnPatience.$current.withValue(patience) {
        Result { () throws(StressError) in try perform() }
      }.get()
    } catch {
      if case .failed(let reason) = error {
        figures.checksFailed += 1
        failure = reason
      }
      throw error
    }
  }

  private func perform() throws(StressError) {
    if options.isChild { return try saveUntilKilled() }
    switch options.preset {
    case .growth: try grow()
    case .ragged: try operate([StressSeason(.ragged)])
    case .mixed:
      try prefill(longestContext / 4)
      try operate([StressSeason(.mixed)])
    case .forkStorm:
      try prefill(max(longestContext / 2, longestContext - 1_024))
      try operate([StressSeason(.forkStorm)])
    case .shiftStorm:
      try fill()
      try operate([StressSeason(.shiftStorm)])
    case .evict:
      let season = StressSeason(.evict, policy: options.policy)
      // Prompts note the attention that pages have had, too.
      try begin(season)
      try fill()
      try operate([season])
    case .faults: try operate([StressSeason(.faults)])
    case .snapshot:
      _ = try files()
      try prefill(longestContext / 4)
      try operate([StressSeason(.snapshot)])
      try killChildren()
      try measureSnapshots()
    case .soak:
      _ = try files()
      try operate(StressSeason.soak)
    }
    try persist { () throws(StressError) in try askAll() }
    figures.take(subject.cache.statistics())
    if options.preset.comparesHistory { try compareHistory() }
    try dropAll()
  }

  /// What was done so far.
  package var summary: StressSummary {
    StressSummary(
      options: options, figures: figures, failure: failure, memoryLimit: subject.cache.memoryLimit)
  }

  /// Whether all that is being done follows from the seed: not the instant at which a process is killed.
  var isRepeatable = true

  /// How to do the same again, up to where this run is.
  package var replay: String {
    let command = options.command(
      steps: max(figures.steps, 1), memoryLimit: subject.cache.memoryLimit)
    return isRepeatable
      ? "replay: \(command)"
      : "processes are killed at other instants each time, so this may have to run often: \(command)"
  }

  // MARK: The end

  var isOver: Bool {
    if let steps = options.steps, figures.steps >= steps { return true }
    return options.minutes.map { seconds >= 60 * $0 } ?? false
  }

  private var seconds: Double { Double(Stopwatch.now - start) / 1e9 }

  func checkInterrupt() throws(StressError) {
    if cancellation.isCancelled { throw .stopped(.interrupted) }
  }

  /// Every sequence asks once more, some at a time.
  func askAll() throws(StressError) {
    for first in stride(from: 0, to: subject.pairs.count, by: 8) {
      let work = (first..<min(first + 8, subject.pairs.count)).filter {
        let list = subject.pairs[$0].list
        return list.count > 0 && list.isWhole(window: subject.window)
      }.map { StepWork(index: $0, appended: 0, asks: true) }
      if !work.isEmpty { try step(work) }
    }
    try subject.checkBooks()
    figures.checksPassed += 1
  }

  /// Drops everything, after which no page memory may be left.
  private func dropAll() throws(StressError) {
    figures.residentBytes = ProcessMemory.residentBytes
    figures.residentBytesByNode = ProcessMemory.residentBytesByNode
    try expectEmptyAfterDrop()
    figures.committedBytesAfterDrop = subject.committedBytes
    try checkResident()
  }

  /// Drops all sequences.
  func expectEmptyAfterDrop() throws(StressError) {
    while !subject.pairs.isEmpty { try subject.drop(subject.pairs.count - 1) }
    let (formula, committed) = (subject.cache.formulaBytes, subject.committedBytes)
    guard formula == 0, committed == 0 else {
      throw .failed(
        "everything is dropped, but \(formula) bytes of pages and \(committed) committed are left")
    }
    try subject.checkBooks()
    figures.checksPassed += 2
  }

  /// Memory of the process must be what it was at the start, but for the times that the run keeps, the cache's tables, which
  /// stay as long as they were, and 16 MiB.
  ///
  /// Those are the program's own code as it comes to be used, and what `malloc` cannot give back because something small still
  /// lies above it.
  private func checkResident() throws(StressError) {
    subject.releaseRows()
    ProcessMemory.releaseFreed()
    let resident = ProcessMemory.residentBytes
    figures.residentBytesAfterDrop = resident
    figures.tableBytes = subject.tableBytes(ofPages: figures.peakFormulaBytes)
    guard ownsProcess, let resident, let start = figures.residentBytesAtStart else { return }
    let more = resident - start - figures.sampleBytes - figures.tableBytes
    guard more <= Self.mostResident else {
      throw .failed(
        "everything is dropped, but the process has \(more) bytes more than at its start; "
          + "\(Self.mostResident) are allowed")
    }
    figures.checksPassed += 1
  }

  private func conclude() {
    figures.seconds = seconds
    if figures.committedBytesAfterDrop == nil {
      figures.take(subject.cache.statistics())
      figures.residentBytes = ProcessMemory.residentBytes
    }
    // The system brings its own peak up to date now and then only.
    figures.peakResidentBytes = ProcessMemory.peakResidentBytes.map {
      max($0, figures.residentBytes ?? 0)
    }
  }

  // MARK: Steps

  /// One step of the engine.
  @discardableResult
  func step(_ work: [StepWork]) throws(StressError) -> StepFigures {
    let step = try orUnchanged { () throws(StressError) in
      try subject.step(work, random: &random, cancellation: cancellation)
    }
    figures.tokensAppended += work.reduce(0) { $0 + $1.appended }
    figures.add(step)
    look(context: step.context)
    return step
  }

  /// Does something that memory may end, after which the pages must be as they were.
  func orUnchanged<Value>(
    _ body: () throws(StressError) -> Value
  ) throws(StressError) -> Value {
    if options.preset == .faults { return try throughFaults(body) }
    let before = [subject.cache.formulaBytes, subject.cache.byteCount]
    do throws(StressError) { return try body() } catch {
      let after = [subject.cache.formulaBytes, subject.cache.byteCount]
      guard !error.isOutOfMemory || before == after else {
        throw .failed("refused (\(error)), but bytes changed from \(before) to \(after)")
      }
      throw error
    }
  }

  /// Takes the memory in use, and shows where the run is ten times a second.
  func look(context: Int) {
    let now = Stopwatch.now
    let isDue = now - lastProgress > 100_000_000
    figures.look(
      formula: subject.cache.formulaBytes, committed: subject.committedBytes,
      resident: isDue ? ProcessMemory.residentBytes : nil, context: context)
    guard isDue else { return }
    lastProgress = now
    if hasNodes, now - lastNodes > 1_000_000_000 {
      lastNodes = now
      figures.residentBytesByNode = ProcessMemory.residentBytesByNode
    }
    progress(
      StressTable.progress(
        options.preset, figures, sequences: subject.pairs.count, context: context))
  }
}
