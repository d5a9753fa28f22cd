import Memory
import Synchronization

/// What a snapshot has brought back.
public struct RestoredSnapshot: Sendable, Equatable {
  /// New sequences of the cache, in the order in which they were saved.
  public var sequences: [SequenceID]
  /// The caller's own bytes.
  public var attachment: [UInt8]
  /// What was read.
  public var report: SnapshotReport
}

extension SnapshotStore {
  /// Adds the sequences of the last complete snapshot to a cache of the same layers.
  ///
  /// A step after it has the bits that it would have had in the cache that was saved: entries, positions, anchors, epochs,
  /// bounds, pins and what sequences share come back as they were. Every byte read is compared with its
  /// checksum. Pages are read into the cache's own memory by all workers, layers side by side.
  ///
  /// - Parameters:
  ///   - cache: The cache, between steps; other sequences in it stay as they are.
  ///   - workers: Who reads.
  ///   - cancellation: Looked at all the time.
  /// - Returns: The sequences, and what came with them.
  /// - Throws: ``SnapshotError``; the cache is as it was then. ``SnapshotError/noFrequencies(layer:)`` where keys are turned and no
  ///   engine has been made over the cache yet.
  public func restore(
    into cache: KVCache, workers: Workers = .shared, cancellation: CancellationFlag? = nil
  ) throws(SnapshotError) -> RestoredSnapshot {
    guard !cache.isStepInProgress else { throw .cache(.stepInProgress) }
    let turn = try SnapshotError.reading { () throws(MemoryError) in
      try FileFolder.Turn(in: names.folder, .shared)
    }
    defer { extendLifetime(turn) }
    let manifest = try manifest()
    try manifest.checkLayers(cache)
    try manifest.checkTables(cache.pools, path: path)
    try manifest.checkFrequencies(cache)
    var readers: [SegmentReader] = []
    for segment in manifest.segments {
      readers.append(
        try SegmentReader(
          names.pages(segment.id), segment, of: cache.pools))
    }
    let restoration = try SnapshotError.wrapping { () throws(CacheError) in
      try CacheRestoration(manifest, in: cache)
    }
    do throws(SnapshotError) {
      try readPages(manifest, restoration, readers, cache, workers, cancellation)
    } catch {
      restoration.undo()
      throw error
    }
    let sequences = restoration.finish()
    memory = remembered(manifest, restoration.numbers, cache)
    latest = manifest.id
    var report = SnapshotReport()
    report.files = readers.count
    for (pool, sets) in zip(cache.pools, manifest.sets) {
      report.pageSets += sets.count
      report.movedPageBytes += sets.reduce(0) { $0 + pool.setBytes($1.form) }
    }
    report.movedPageSets = report.pageSets
    return RestoredSnapshot(
      sequences: sequences, attachment: manifest.attachment, report: report)
  }

  /// The sets' records, then the pages of all layers.
  private func readPages(
    _ manifest: SnapshotManifest, _ restoration: CacheRestoration, _ readers: [SegmentReader],
    _ cache: KVCache, _ workers: Workers, _ cancellation: CancellationFlag?
  ) throws(SnapshotError) {
    var checksums = manifest.sets.map { _ in [UInt64]() }
    for (number, pool) in cache.pools.enumerated() {
      for (index, set) in manifest.sets[number].enumerated() {
        let record = try readers[set.place.segment].record(
          shelf: SegmentLayout.shelf(ofPool: number, set.form), set: set.place.number,
          checksum: set.place.checksum)
        let own = Int(restoration.numbers[number][index])
        for (column, page) in record.enumerated() {
          checksums[number].append(page.checksum)
          pool.norms[column, own] = page.norms
          if pool.isQuantized { pool.errors[column, own] = page.errors }
        }
      }
    }
    let failure = Mutex<SnapshotError?>(nil)
    for (number, pool) in cache.pools.enumerated() {
      let run = PageRun(
        pool: number, sets: manifest.sets[number], numbers: restoration.numbers[number],
        checksums: checksums[number], readers: readers)
      // SAFETY: each layer's pages are written by one worker, and nobody else knows of them yet.
      nonisolated(unsafe) let pool = pool
      let isWhole = unsafe workers.forEachIndex(
        below: pool.layers.count, cancellation: cancellation
      ) { layer, _ in
        guard failure.withLock({ $0 == nil }) else { return }
        do throws(SnapshotError) {
          try unsafe run.read(layer: layer, of: pool, cancellation)
        } catch {
          failure.withLock { $0 = $0 ?? error }
        }
      }
      if let error = failure.withLock({ $0 }) { throw error }
      if !isWhole { throw .cancelled }
    }
  }

  /// What a later `save` of the cache need not write again.
  private func remembered(
    _ manifest: SnapshotManifest, _ numbers: [[Int32]], _ cache: KVCache
  ) -> Contents {
    var sets: [[Int32: Saved]] = []
    for (number, pool) in cache.pools.enumerated() {
      var own: [Int32: Saved] = [:]
      for (set, page) in zip(manifest.sets[number], numbers[number]) {
        own[page] = Saved(
          version: pool.sets[Int(page)].version, segment: manifest.segments[set.place.segment].id,
          number: set.place.number, checksum: set.place.checksum)
      }
      sets.append(own)
    }
    return Contents(cache: cache.identity, segments: manifest.segments, sets: sets)
  }
}

/// Reads the pages of one pool.
private struct PageRun: Sendable {
  let pool: Int
  let sets: [SnapshotManifest.StoredSet]
  /// Their numbers in the cache.
  let numbers: [Int32]
  /// `[set][column]`.
  let checksums: [UInt64]
  let readers: [SegmentReader]
  /// Sets in the order of the files, so that these are read from front to back.
  private let order: [Int]

  /// Bytes that one call to the system reads, at least a page: they are checksummed just after, and still in the CPU's caches.
  private static let runBytes = 1 << 19

  init(
    pool: Int, sets: [SnapshotManifest.StoredSet], numbers: [Int32], checksums: [UInt64],
    readers: [SegmentReader]
  ) {
    (self.pool, self.sets, self.numbers) = (pool, sets, numbers)
    (self.checksums, self.readers) = (checksums, readers)
    order = sets.indices.sorted {
      let (one, other) = (sets[$0], sets[$1])
      if one.place.segment != other.place.segment {
        return one.place.segment < other.place.segment
      }
      if (one.form == .coded) != (other.form == .coded) { return other.form == .coded }
      return one.place.number < other.place.number
    }
  }

  /// Reads the pages of all KV heads of a layer, neighbours in the file and in memory at once.
  func read(
    layer: Int, of pool: PagePool, _ cancellation: CancellationFlag?
  ) throws(SnapshotError) {
    let first = pool.firstColumns[layer]
    for column in first..<first + pool.headCounts[layer] {
      var index = 0
      while index < order.count {
        if let cancellation, cancellation.isCancelled { throw .cancelled }
        let (place, form) = (sets[order[index]].place, sets[order[index]].form)
        let (shelf, bytes) = (
          SegmentLayout.shelf(ofPool: self.pool, form),
          pool.pageBytes(layer: layer, isCoded: form == .coded)
        )
        // SAFETY: the sets were just taken, so their pages are committed and `bytes` long in every column.
        guard let start = unsafe pool.addresses[column, Int(numbers[order[index]])] else { return }
        var count = 1
        while index + count < order.count, (count + 1) * bytes <= Self.runBytes {
          let next = order[index + count]
          guard sets[next].place.segment == place.segment,
            SegmentLayout.shelf(ofPool: self.pool, sets[next].form) == shelf,
            sets[next].place.number == place.number + count,
            unsafe pool.addresses[column, Int(numbers[next])] == start + count * bytes
          else { break }
          count += 1
        }
        let run = unsafe UnsafeMutableRawBufferPointer(start: start, count: count * bytes)
        var span = unsafe run.mutableBytes
        let from = index
        try readers[place.segment].read(
          shelf: shelf, column: column, sets: place.number..<place.number + count, into: &span
        ) { checksums[order[from + $0] * pool.columnCount + column] }
        index += count
      }
    }
  }
}
