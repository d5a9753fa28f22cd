import Benchmarking
import Memory
import StreamingAttention

/// How fast one long sequence is saved and restored, beside the disk.
extension StressRun {
  private static let blockBytes = 1 << 20
  private static let repeats = 3

  /// Takes the times of one long sequence's snapshot; without memory for it there are none.
  func measureSnapshots() throws(StressError) {
    do throws(StressError) { try measure() } catch {
      guard error.isOutOfMemory else { throw error }
      figures.refusals += 1
      try subject.checkBooks()
      figures.checksPassed += 1
    }
  }

  /// Drops everything, grows one sequence to the run's context or as far as memory lets it, and takes the times of its snapshot.
  private func measure() throws(StressError) {
    let files = try files()
    while !subject.pairs.isEmpty { try subject.drop(subject.pairs.count - 1) }
    try subject.add(startingAt: 0)
    if try !appendWhatFits(longestContext, to: 0) {
      // One more step has to find room too.
      try subject.truncate(0, to: subject.longest / 2)
    }
    let tokens = subject.longest
    let record = try subject.record(number: 1, cancellation)
    let bytes = subject.cache.formulaBytes
    let path = "\(files.folder)/speed"
    let disk = "\(files.folder)/disk"
    let store = try StressError.wrapping { () throws(SnapshotError) in try SnapshotStore(path: path)
    }
    let write = try seconds { () throws(StressError) in try writeFile(disk, bytes) }
    try checkInterrupt()
    let save = try seconds { () throws(StressError) in
      _ = try StressError.wrapping { () throws(SnapshotError) in
        try store.save(subject.cache, attachment: record.bytes)
      }
    }
    figures.snapshots += 1
    try subject.drop(0)
    forget(files.folder)
    let read = try seconds { () throws(StressError) in try readFile(disk) }
    FileFolder.remove(disk)
    forget(files.folder)
    let cold = try restore(path, record)
    // Memory that a machine has not used for long may be slow to come: a virtual one's host takes it back meanwhile.
    var warm = Double.infinity
    for _ in 0..<Self.repeats {
      while !subject.pairs.isEmpty { try subject.drop(subject.pairs.count - 1) }
      warm = min(warm, try restore(path, record))
    }
    let step = try step([StepWork(index: 0, appended: 1, asks: true)])
    figures.snapshotSpeed = SnapshotSpeed(
      tokens: tokens, bytes: bytes, saveSeconds: save, writeSeconds: write,
      coldRestoreSeconds: cold, readSeconds: read, warmRestoreSeconds: warm,
      firstStepSeconds: Double(step.append + step.attend) / 1e9)
  }

  private func seconds(_ body: () throws(StressError) -> Void) throws(StressError) -> Double {
    try checkInterrupt()
    return Double(try Stopwatch.time(body)) / 1e9
  }

  /// Restores into the run's own cache, which is empty; the time without that of the checks.
  private func restore(_ path: String, _ record: SnapshotRecord) throws(StressError) -> Double {
    var restored: RestoredSnapshot?
    let time = try seconds { () throws(StressError) in
      restored = try StressError.wrapping { () throws(SnapshotError) in
        try SnapshotStore(path: path).restore(
          into: subject.cache, workers: subject.engine.workers, cancellation: cancellation)
      }
    }
    guard let restored else { return time }
    figures.checksPassed += try subject.take(restored, record, cancellation)
    figures.restorations += 1
    return time
  }

  // MARK: The disk

  private func writeFile(_ path: String, _ count: Int) throws(StressError) {
    let chunk = (0..<Self.blockBytes).map { UInt8(truncatingIfNeeded: $0 &* 0x9E37_79B9 >> 13) }
    do throws(MemoryError) {
      var file = try NewFile(creating: path)
      while file.byteCount < count, !cancellation.isCancelled {
        try unsafe file.append(
          chunk.span.bytes.extracting(0..<min(count - file.byteCount, chunk.count)))
      }
      try file.synchronize()
    } catch {
      throw .stopped(.output("\(error)"))
    }
  }

  private func readFile(_ path: String) throws(StressError) {
    var chunk = [UInt8](repeating: 0, count: Self.blockBytes)
    do throws(MemoryError) {
      let file = try ReadableFile(path: path)
      var offset = 0
      while offset < file.byteCount, !cancellation.isCancelled {
        var span = chunk.mutableSpan
        var bytes = unsafe span.mutableBytes
        var part = bytes._mutatingExtracting(0..<min(Self.blockBytes, file.byteCount - offset))
        try file.read(at: offset, into: &part)
        offset += part.byteCount
      }
    } catch {
      throw .stopped(.output("\(error)"))
    }
  }

  /// Lets the system forget what it holds of the files.
  private func forget(_ folder: String) {
    for name in (try? FileFolder.names(in: folder)) ?? [] {
      try? ReadableFile(path: "\(folder)/\(name)").forget()
    }
  }
}
