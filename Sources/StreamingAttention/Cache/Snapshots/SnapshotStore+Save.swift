import Memory

/// What a snapshot has written, or read.
public struct SnapshotReport: Sendable, Equatable {
  /// Page sets of the snapshot: one page for each layer and KV head of a retention.
  public var pageSets = 0
  /// Page sets written or read now; saving leaves out those that an earlier snapshot of the cache has written.
  public var movedPageSets = 0
  /// Bytes of the pages written or read now.
  public var movedPageBytes = 0
  /// Files of pages that the snapshot has.
  public var files = 0

  /// Nothing.
  public init() {}
}

extension SnapshotStore {
  /// Saves sequences of a cache: all of them, or some in an order of their own.
  ///
  /// When it returns, the snapshot is on the disk. Page sets that the last snapshot of the same cache holds are not written
  /// again, but for those in files that are mostly out of date, or no larger than twice what is written anyway: the number
  /// of files stays small.
  ///
  /// - Parameters:
  ///   - cache: The cache, between steps.
  ///   - sequences: Which sequences; all if nil.
  ///   - attachment: The caller's own bytes, which come and go with the snapshot.
  ///   - replacesOthers: Whether a snapshot may be replaced that this store has not saved or restored itself.
  /// - Returns: What was written.
  /// - Throws: ``SnapshotError``; the last complete snapshot is still there then, and nothing else.
  @discardableResult
  public func save(
    _ cache: KVCache, sequences: [SequenceID]? = nil, attachment: [UInt8] = [],
    replacesOthers: Bool = true
  ) throws(SnapshotError) -> SnapshotReport {
    guard !cache.isStepInProgress else { throw .cache(.stepInProgress) }
    let states = try SnapshotError.wrapping { () throws(CacheError) in
      try cache.states(of: sequences)
    }
    let turn = try SnapshotError.writing { () throws(MemoryError) in
      try FileFolder.Turn(in: names.folder, .alone)
    }
    let last = try replacedSnapshot(replacesOthers)
    if memory?.cache !== cache.identity || latest != last || !hasAllFiles(of: cache.pools) {
      memory = nil
    }

    var plan = SavePlan(cache, states, memory)
    let id = UInt64.random(in: .min ... .max)
    let (pages, part) = (names.pages(id), names.part(id))
    var memory = Contents(cache: cache.identity, segments: plan.segments, sets: plan.saved)
    do throws(SnapshotError) {
      if plan.hasNewSets { try writePages(&plan, pages, id: id, of: cache, &memory) }
      let encoded = plan.manifest(id: id, of: cache, states, memory, attachment).encoded()
      try SnapshotError.writing { () throws(MemoryError) in
        var file = try NewFile(creating: part)
        try unsafe file.append(encoded.span.bytes)
        try file.synchronize()
        try FileFolder.rename(part, to: names.target)
        // From here on the snapshot is the new one.
        (self.memory, latest) = (memory, id)
        try turn.synchronize(names.folder)
      }
    } catch {
      // Where only the folder was not written through, the new snapshot stands.
      if latest != id {
        FileFolder.remove(part)
        FileFolder.remove(pages)
      }
      throw error
    }
    names.removeOthers(than: Set(memory.segments.map(\.id)))
    return plan.report(files: memory.segments.count)
  }

  /// Throws what would keep `save` from beginning: a folder that cannot be written, a file that is not to be replaced.
  ///
  /// It leaves nothing behind and waits for nobody. What it has found may have changed when `save` is called.
  ///
  /// - Parameter replacesOthers: As `save` is to be called.
  /// - Throws: ``SnapshotError``.
  public func checkSaving(replacesOthers: Bool = true) throws(SnapshotError) {
    _ = try replacedSnapshot(replacesOthers)
    let part = names.part(.random(in: .min ... .max))
    do throws(MemoryError) { _ = try NewFile(creating: part) } catch {
      guard case .unwritable(_, let number) = error else { throw .file(error) }
      throw .file(.unwritable(path: path, errno: number))
    }
    FileFolder.remove(part)
  }

  /// Writes the new file of pages, and notes where the sets are now.
  private func writePages(
    _ plan: inout SavePlan, _ path: String, id: UInt64, of cache: KVCache, _ memory: inout Contents
  ) throws(SnapshotError) {
    let counts = plan.newSets.map(\.count)
    guard let layout = SegmentLayout(cache.pools, setCounts: counts) else {
      throw .file(.unwritable(path: path, errno: 27))  // EFBIG
    }
    let newSets = plan.newSets
    let sums = try SnapshotError.writing { () throws(MemoryError) in
      var writer = try SegmentWriter(path, id: id, sets: newSets, of: cache.pools, layout: layout)
      return try writer.write()
    }
    memory.segments.append(.init(id: id, setCounts: counts))
    for (shelf, sets) in newSets.enumerated() {
      let pool = shelf / 2
      for (place, set) in sets.enumerated() {
        memory.sets[pool][set] = Saved(
          version: cache.pools[pool].sets[Int(set)].version, segment: id, number: place,
          checksum: sums[shelf][place])
      }
    }
  }

  /// The number of the snapshot that a new one replaces, nil if there is none that could be read.
  ///
  /// Throws `notSnapshot` for another file, and `replaced` for the snapshot of another store that is not to be replaced.
  private func replacedSnapshot(_ replacesOthers: Bool) throws(SnapshotError) -> UInt64? {
    do throws(SnapshotError) {
      let last = try SnapshotManifest.Header(try openManifest().start, path: path).id
      guard replacesOthers || last == latest else { throw .replaced(path: path) }
      return last
    } catch {
      switch error {
      case .notFound, .version, .damaged: return nil
      default: throw error
      }
    }
  }

  /// Whether the files of the last snapshot are all there and as long as they were.
  private func hasAllFiles(of pools: [PagePool]) -> Bool {
    guard let memory else { return true }
    return memory.segments.allSatisfy { segment in
      let layout = SegmentLayout(pools, setCounts: segment.setCounts)
      let file = try? ReadableFile(path: names.pages(segment.id))
      return file != nil && file?.byteCount == layout?.byteCount
    }
  }
}

extension KVCache {
  /// The states of sequences, all in the order of their places if nil.
  func states(of wanted: [SequenceID]?) throws(CacheError) -> [SequenceState] {
    guard let wanted else { return sequences.compactMap { $0 } }
    var states: [SequenceState] = []
    var seen: Set<SequenceID> = []
    for sequence in wanted {
      guard seen.insert(sequence).inserted else { throw .repeatedSequence(sequence) }
      states.append(try state(of: sequence))
    }
    return states
  }
}
