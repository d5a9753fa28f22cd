/// Which page sets a snapshot holds, and which of them are to be written.
struct SavePlan {
  /// Page sets of the snapshot, by pool, in the order in which the tables first name them.
  private(set) var sets: [[Int32]]
  /// Those to be written, by shelf, in the same order.
  private(set) var newSets: [[Int32]]
  /// Bytes of their pages, and how many there are.
  private var newBytes = 0
  private var newCount: Int { newSets.reduce(0) { $0 + $1.count } }
  /// Where the others are.
  private(set) var saved: [[Int32: SnapshotStore.Saved]]
  /// Files that others are in.
  private(set) var segments: [SnapshotManifest.Segment]

  init(_ cache: KVCache, _ states: [SequenceState], _ memory: SnapshotStore.Contents?) {
    sets = []
    saved = []
    for (number, pool) in cache.pools.enumerated() {
      var isListed = [Bool](repeating: false, count: pool.setNumbers.count)
      var listed: [Int32] = []
      var known: [Int32: SnapshotStore.Saved] = [:]
      for state in states {
        let entries = state.tables[number].entries.count
        for index in 0..<entries {
          let set = state.tables[number].entries[index].page
          guard !isListed[Int(set)] else { continue }
          isListed[Int(set)] = true
          listed.append(set)
          if let saved = memory?.sets[number][set], saved.version == pool.sets[Int(set)].version {
            known[set] = saved
          }
        }
      }
      sets.append(listed)
      saved.append(known)
    }
    segments = memory?.segments ?? []
    newSets = []
    rewriteSmallFiles(cache.pools)
    newSets = cache.pools.flatMap { _ in [[], []] }
    for (number, pool) in cache.pools.enumerated() {
      for set in sets[number] where saved[number][set] == nil {
        let form = pool.form(of: set)
        newSets[SegmentLayout.shelf(ofPool: number, form)].append(set)
        newBytes += pool.setBytes(form)
      }
    }
  }

  var hasNewSets: Bool { newSets.contains { !$0.isEmpty } }

  /// Gives up files that are less than half in use, and, from the smallest on, those that hold no more than twice what is
  /// written anyway: each file that stays is more than twice as large as the next newer one, so there are few.
  private mutating func rewriteSmallFiles(_ pools: [PagePool]) {
    var liveBytes: [UInt64: Int] = [:]
    var newBytes = 0
    for (number, pool) in pools.enumerated() {
      for set in sets[number] {
        let bytes = pool.setBytes(pool.form(of: set))
        if let place = saved[number][set] {
          liveBytes[place.segment, default: 0] += bytes
        } else {
          newBytes += bytes
        }
      }
    }
    var given: Set<UInt64> = []
    for segment in segments.sorted(by: {
      liveBytes[$0.id, default: 0] < liveBytes[$1.id, default: 0]
    }) {
      let live = liveBytes[segment.id, default: 0]
      var all = 0
      for (number, pool) in pools.enumerated() {
        for form in [StoredForm.plain, .coded] {
          all +=
            pool.setBytes(form) * segment.setCounts[SegmentLayout.shelf(ofPool: number, form)]
        }
      }
      guard live == 0 || live <= 2 * newBytes || 2 * live < all else { continue }
      given.insert(segment.id)
      newBytes += live
    }
    for number in saved.indices {
      saved[number] = saved[number].filter { !given.contains($0.value.segment) }
    }
    segments.removeAll { given.contains($0.id) }
  }

  /// The snapshot; `memory` says where all its page sets are by now.
  func manifest(
    id: UInt64, of cache: KVCache, _ states: [SequenceState], _ memory: SnapshotStore.Contents,
    _ attachment: [UInt8]
  ) -> SnapshotManifest {
    var places: [UInt64: Int] = [:]
    for (index, segment) in memory.segments.enumerated() { places[segment.id] = index }
    var stored: [[SnapshotManifest.StoredSet]] = []
    var numbers: [[Int32: Int32]] = []
    for (number, pool) in cache.pools.enumerated() {
      var own: [SnapshotManifest.StoredSet] = []
      var byPage: [Int32: Int32] = [:]
      for page in sets[number] {
        guard let saved = memory.sets[number][page], let segment = places[saved.segment] else {
          preconditionFailure("page set \(page) was not written")
        }
        let set = pool.sets[Int(page)]
        byPage[page] = Int32(own.count)
        own.append(
          .init(
            epoch: set.epoch, offset: set.offset, rewrites: set.rewrites,
            form: pool.form(of: page),
            place: .init(segment: segment, number: saved.number, checksum: saved.checksum)))
      }
      stored.append(own)
      numbers.append(byPage)
    }
    return SnapshotManifest(
      id: id, layers: cache.layers.map { SnapshotLayer($0, cache.fullPrecision) },
      frequencies: cache.layers.indices.map(cache.frequencies(ofLayer:)),
      segments: memory.segments, sets: stored,
      sequences: states.map { SnapshotManifest.Sequence($0, pages: numbers) },
      attachment: attachment)
  }

  func report(files: Int) -> SnapshotReport {
    var report = SnapshotReport()
    report.files = files
    report.pageSets = sets.reduce(0) { $0 + $1.count }
    report.movedPageSets = newCount
    report.movedPageBytes = newBytes
    return report
  }
}

extension SnapshotManifest.Sequence {
  /// What a sequence is; `pages` are the snapshot's numbers of page sets, by pool.
  init(_ state: SequenceState, pages: [[Int32: Int32]]) {
    startPosition = state.startPosition
    nextPosition = state.nextPosition
    length = state.length
    sinkCount = state.sinkCount
    rotation = state.rotation
    isEvicting = state.isEvicting
    pins = (0..<state.pins.rangeCount).map { state.pins[$0] }
    for (number, table) in state.tables.enumerated() {
      var stored = SnapshotManifest.Table(
        nextNumber: table.nextNumber, pagesWritten: table.pagesWritten, isRewound: table.isRewound,
        hasEvicted: table.hasEvicted)
      for index in 0..<table.entries.count {
        var entry = table.entries[index]
        entry.page = pages[number][entry.page] ?? -1
        stored.entries.append(entry)
      }
      tables.append(stored)
    }
  }
}
