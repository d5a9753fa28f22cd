import KernelTable

/// What the page tables hold, listed from the beginning.
extension Plan {
  /// Brings the lists up to date: with what the tables have grown by, if they are those of the step before.
  mutating func listTables(_ cache: KVCache, _ list: [StepRequest]) throws(AttentionError) {
    let isGrown = isListed ? try extendTables(cache, list) : false
    if !isGrown {
      isListed = false
      tables.removeAll()
      entries.removeAll()
      unturnedEntries.removeAll()
      numbers.removeAll()
      leaves.removeAll()
      runs.removeAll()
      slotTables.removeAll()
      for table in 0..<cache.tableCount {
        for r in 0..<requests.count {
          try listEntries(of: r, list[r].sequence, in: cache, table: table)
          try listLeaves(of: tables.count - 1)
        }
      }
      try listUnturnedEntries()
    }
    isListed = true
  }

  /// Changes of a page table other than growth.
  static func changes(
    of sequence: SequenceID, in cache: KVCache, table: Int
  ) throws(AttentionError) -> Int {
    try AttentionError.wrapping { () throws(CacheError) in
      try cache.changeCount(of: sequence, table: table)
    }
  }

  /// A layer without a rotation need not prepare its queries for every run.
  private mutating func listUnturnedEntries() throws(AttentionError) {
    guard (0..<tables.count).contains(where: { tables[$0].runCount > 1 }) else { return }
    try unturnedEntries.reserveCapacity(entries.count)
    for index in 0..<entries.count { unturnedEntries.appendReserved(entries[index].unturned) }
  }

  private mutating func listEntries(
    of request: Int, _ sequence: SequenceID, in cache: KVCache, table: Int
  ) throws(AttentionError) {
    var keyCount = 0
    let firstEntry = entries.count
    let firstRun = runs.count
    let (epoch, length) = (requests[request].epoch, requests[request].length)
    let count = try AttentionError.wrapping { () throws(CacheError) in
      try cache.liveEntryCount(of: sequence, table: table)
    }
    let room = count + count / 8 + 8
    try entries.reserveCapacity(firstEntry + room)
    try numbers.reserveCapacity(firstEntry + room)
    try runs.reserveCapacity(firstRun + count + 1)
    var (newestAnchor, isOwn) = (0, true)
    let hasWindow = cache.hasWindow(table: table)
    var (keptFrom, nextToken, newestTokens) = (Int.min, 0, Int.max)
    try AttentionError.wrapping { () throws(CacheError) in
      try cache.forEachLiveEntry(of: sequence, table: table) { entry in
        // Where frequencies follow the length, keys that were turned before were turned by others.
        isOwn = entry.epoch == epoch && length == 0
        let run = PlannedRun(
          anchor: isOwn ? entry.anchor : entry.basePosition, epoch: Int32(entry.epoch),
          offset: isOwn || entry.epoch == PageSet.unturned ? 0 : entry.basePosition - entry.anchor)
        if !isOwn || runs.count == firstRun || runs[runs.count - 1] != run {
          runs.appendReserved(run)
        }
        newestAnchor = entry.anchor
        if entry.tokens.lowerBound != nextToken {
          // Where everything is kept, what is missing has been evicted: rows that would have seen it do without.
          if hasWindow {
            keptFrom = entry.basePosition + entry.slots.lowerBound
          } else {
            newestTokens = 0
          }
        }
        if newestTokens != .max { newestTokens += entry.tokens.count }
        nextToken = entry.tokens.upperBound
        entries.appendReserved(
          LeafEntry(
            page: Int32(entry.page), run: Int32(runs.count - firstRun - 1),
            basePosition: entry.basePosition, firstKey: keyCount - entry.slots.lowerBound,
            firstSlot: Int32(entry.slots.lowerBound), endSlot: Int32(entry.slots.upperBound),
            isCoded: entry.isCoded))
        keyCount += entry.slots.count
        numbers.appendReserved(entry.number)
      }
    }
    // Rows are turned by run 0 first: an anchor that does not move while the sequence grows, whatever the newest page holds.
    if !isOwn {
      runs.appendReserved(PlannedRun(anchor: newestAnchor, epoch: epoch, offset: 0))
    }
    let runCount = runs.count - firstRun
    numberRunsFromTheNewest(entries: firstEntry..<entries.count, runs: firstRun..<runs.count)
    try listSlotTables(
      entries: firstEntry..<entries.count, firstRun: firstRun, epoch: epoch, length: length)
    try tables.append(
      PlannedTable(
        source: ListedTable(
          sequence: sequence.serial,
          changes: try Self.changes(of: sequence, in: cache, table: table),
          epoch: epoch, length: length), firstEntry: firstEntry, entryCount: count, entryRoom: room,
        firstLeaf: leaves.count, leafCount: 0, firstRun: firstRun, runCount: runCount,
        keptFrom: keptFrom, newestTokens: newestTokens, keyCount: keyCount, firstBias: 0))
    while entries.count < firstEntry + room {
      entries.appendReserved(LeafEntry(page: 0, run: 0, basePosition: 0, firstSlot: 0, endSlot: 0))
      numbers.appendReserved(0)
    }
  }

  /// The newest run becomes run 0: its turns serve the appended keys and most of the queries.
  private mutating func numberRunsFromTheNewest(entries range: Range<Int>, runs own: Range<Int>) {
    for index in range {
      entries[index].run = Int32(own.count - 1) - entries[index].run
    }
    for offset in 0..<own.count / 2 {
      let (low, high) = (own.lowerBound + offset, own.upperBound - 1 - offset)
      (runs[low], runs[high]) = (runs[high], runs[low])
    }
  }

  /// Finds the tables by which keys of other epochs are still to be turned.
  private mutating func listSlotTables(
    entries range: Range<Int>, firstRun: Int, epoch: Int32, length: Int
  ) throws(AttentionError) {
    for index in range {
      let keyEpoch = runs[firstRun + Int(entries[index].run)].epoch
      guard keyEpoch != epoch || length > 0 else { continue }
      let wanted = SlotTable(epoch: epoch, length: length, keyEpoch: keyEpoch)
      var number = 0
      while number < slotTables.count, slotTables[number] != wanted { number += 1 }
      if number == slotTables.count { try slotTables.append(wanted) }
      entries[index].slotTurns = Int32(number)
    }
  }

  private mutating func listLeaves(of index: Int) throws(AttentionError) {
    let table = tables[index]
    let size = SummationOrder.leafEntries(liveEntries: table.entryCount)
    var first = table.firstEntry
    while first < table.firstEntry + table.entryCount {
      let number = numbers[first] / size
      var end = first + 1
      while end < table.firstEntry + table.entryCount, numbers[end] / size == number { end += 1 }
      var coded = 0
      for index in first..<end where entries[index].isCoded { coded += 1 }
      let (oldest, newest) = (entries[first], entries[end - 1])
      try leaves.append(
        PlannedLeaf(
          number: number, firstEntry: first, entryCount: end - first,
          firstPosition: oldest.basePosition + Int(oldest.firstSlot),
          lastPosition: newest.basePosition + Int(newest.endSlot) - 1,
          codedCount: coded))
      tables[index].leafCount += 1
      first = end
    }
    // What entries to come may add: the leaf size does not change without a new listing.
    let more = (table.entryRoom - table.entryCount) / size + 2
    tables[index].leafRoom = tables[index].leafCount + more
    for _ in 0..<more {
      try leaves.append(
        PlannedLeaf(number: 0, firstEntry: 0, entryCount: 0, firstPosition: 0, lastPosition: 0))
    }
  }
}

extension LeafEntry {
  /// The entry as layers without a rotation see it.
  var unturned: LeafEntry {
    var entry = self
    (entry.run, entry.slotTurns) = (0, -1)
    return entry
  }
}
