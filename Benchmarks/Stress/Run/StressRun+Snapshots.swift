import Benchmarking
import Generation
import Memory
import StreamingAttention

/// Saving and restoring, and processes that are killed while they save.
extension StressRun {
  /// One snapshot in so many is restored.
  private static let restoredOf = 4
  /// A process is killed so many snapshots and microseconds after its beginning at most.
  private static let mostSaves = 3
  private static let mostDelay: UInt64 = 60_000
  /// Milliseconds after which an interrupt is looked for while a process is silent.
  private static let patience: Int32 = 20

  func files() throws(StressError) -> StressSnapshots {
    if let snapshots { return snapshots }
    let made = try StressSnapshots(options)
    snapshots = made
    return made
  }

  /// Saves all sequences; now and then they are restored into another cache, in which the run goes on.
  func saveAndRestore() throws(StressError) {
    let files = try files()
    let record = try subject.record(number: files.number + 1, cancellation)
    try save(record, files)
    guard Int.random(in: 0..<Self.restoredOf, using: &random) == 0 else { return }
    let other = try anotherSubject(subject.options, window: subject.window)
    var restored: RestoredSnapshot?
    try timed("restore") { () throws(StressError) in
      restored = try restoreAll(from: files.store, into: other)
    }
    guard let restored, SnapshotRecord(restored.attachment) == record else {
      throw .failed("another record than the one saved came back")
    }
    figures.checksPassed += 1 + (try other.take(restored, record, cancellation))
    figures.restorations += 1
    figures.takeLast(subject.cache.statistics())
    subject = other
  }

  /// Restores what was saved of the run's cache into an empty one with the same limit, which has room for all of it.
  ///
  /// There the pages of each layer lie end to end (`CacheRestoration`), so that no more groups are committed than they were in before.
  func restoreAll(
    from store: SnapshotStore, into other: StressSubject
  ) throws(StressError) -> RestoredSnapshot {
    do throws(StressError) {
      return try StressError.wrapping { () throws(SnapshotError) in
        try store.restore(
          into: other.cache, workers: other.engine.workers, cancellation: cancellation)
      }
    } catch {
      guard case .stopped(.cache(.outOfMemory)) = error else { throw error }
      throw .failed("a snapshot finds no room in a cache with the limit of the saved one: \(error)")
    }
  }

  private func save(_ record: SnapshotRecord, _ files: StressSnapshots) throws(StressError) {
    let ids = subject.pairs.map(\.id)
    try timed("save") { () throws(StressError) in
      _ = try StressError.wrapping { () throws(SnapshotError) in
        try files.store.save(subject.cache, sequences: ids, attachment: record.bytes)
      }
    }
    files.number = record.number
    figures.snapshots += 1
  }

  // MARK: Killed processes

  /// What a process does that is to be killed: it goes on from the last snapshot, saves after every other operation, and
  /// says so.
  func saveUntilKilled() throws(StressError) {
    isRepeatable = false
    let files = try files()
    if let record = try restore(into: subject, from: files.store) { files.number = record.number }
    // Keys and values follow from the seed; what happens to them is new each time.
    random = SplitMix64(seed: options.seed &+ UInt64(files.number))
    while !isOver {
      for _ in 0..<2 {
        figures.steps += 1
        let operation = StressMix.snapshot.operation(at: random.uniform(), besides: .save)
        try attempt { () throws(StressError) in try perform(operation) }
      }
      // The record's answers take pages too; with all dropped they take none.
      try persist { () throws(StressError) in
        try save(try subject.record(number: files.number + 1, cancellation), files)
      }
      do throws(BenchmarkError) { try report?("saved \(files.number)\n") } catch {
        throw .stopped(error)
      }
    }
  }

  /// Restores a snapshot and compares its answers; nil where there is none.
  private func restore(
    into subject: StressSubject, from store: SnapshotStore
  ) throws(StressError) -> SnapshotRecord? {
    let restored = try StressError.wrapping { () throws(SnapshotError) -> RestoredSnapshot? in
      do throws(SnapshotError) {
        return try store.restore(
          into: subject.cache, workers: subject.engine.workers, cancellation: cancellation)
      } catch {
        guard case .notFound = error else { throw error }
        return nil
      }
    }
    guard let restored else { return nil }
    guard let record = SnapshotRecord(restored.attachment) else {
      throw .failed("a snapshot's record cannot be read")
    }
    figures.checksPassed += try subject.take(restored, record, cancellation)
    return record
  }

  /// Starts processes that save, and kills each at some instant: what is restored then is the last snapshot that it had
  /// finished, or the one after it.
  func killChildren() throws(StressError) {
    guard let program, options.kills > 0 else { return }
    let files = try files()
    let path = "\(files.folder)/\(StressSnapshots.children)"
    isRepeatable = false
    var options = options
    options.context = options.childContext
    // What is left is looked at whole, whatever room its sequences had.
    options.memoryLimit = nil
    var known = 0
    for number in 0..<options.kills {
      try checkInterrupt()
      known = max(known, try killOne(program, files.folder, number))
      let other = try anotherSubject(options, window: nil)
      let store = try StressError.wrapping { () throws(SnapshotError) in
        try SnapshotStore(path: path)
      }
      let found = try restore(into: other, from: store)?.number ?? 0
      guard (known...known + 1).contains(found) else {
        throw .failed(
          "process \(number + 1) was killed after snapshot \(known), and \(found) is what is left")
      }
      known = found
      figures.kills += 1
      figures.checksPassed += 1
      look(context: other.longest)
    }
    try expectNoLeftovers(files.folder, options, path)
    isRepeatable = true
  }

  /// Lets a process save some times, and kills it; the number of the last snapshot that it has told of.
  private func killOne(
    _ program: String, _ folder: String, _ number: Int
  ) throws(StressError) -> Int {
    let words = options.childWords(folder: folder)
    let saves = Int.random(in: 0...Self.mostSaves, using: &random)
    let delay = UInt64.random(in: 0...Self.mostDelay, using: &random)
    let child: ChildProgram
    do throws(MemoryError) { child = try ChildProgram(path: program, arguments: words) } catch {
      throw .stopped(.memory(error))
    }
    var text: [UInt8] = []
    while text.count(where: { $0 == 10 }) < saves {
      try checkInterrupt()
      guard child.hasOutput(within: Self.patience) else { continue }
      let more = child.read()
      guard !more.isEmpty else { throw endedByItself(number + 1, child.wait()) }
      text += more
    }
    Stopwatch.sleep(microseconds: delay)
    let ending = child.kill()
    guard ending == .killed else { throw endedByItself(number + 1, ending) }
    while true {
      let more = child.read()
      if more.isEmpty { break }
      text += more
    }
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
    return lines.compactMap { Int($0.dropFirst("saved ".count)) }.max() ?? 0
  }

  /// Why a process ended that should have gone on until it was killed.
  private func endedByItself(_ number: Int, _ ending: ChildProgram.Ending) -> StressError {
    if cancellation.isCancelled { return .stopped(.interrupted) }
    switch ending {
    case .exited(130), .exited(143): return .stopped(.interrupted)
    case .exited(let status) where status == 71 || status == 74:
      return .process(number: number, status: status)
    case .exited(let status): return .failed("process \(number) ended with status \(status)")
    case .signalled(let signal): return .failed("process \(number) ended by signal \(signal)")
    }
  }

  /// One more snapshot clears away what killed processes have left.
  private func expectNoLeftovers(
    _ folder: String, _ options: StressOptions, _ path: String
  ) throws(StressError) {
    let other = try anotherSubject(options, window: nil)
    let store = try StressError.wrapping { () throws(SnapshotError) in try SnapshotStore(path: path)
    }
    guard let record = try restore(into: other, from: store) else { return }
    let report = try StressError.wrapping { () throws(SnapshotError) in
      try store.save(
        other.cache, sequences: other.pairs.map(\.id), attachment: record.bytes)
    }
    let names = ((try? FileFolder.names(in: folder)) ?? []).filter {
      $0.hasPrefix(StressSnapshots.children)
    }
    guard names.count == 1 + report.files else {
      throw .failed("\(names) are there, of \(report.files) files of pages and a manifest")
    }
    figures.checksPassed += 1
  }
}
