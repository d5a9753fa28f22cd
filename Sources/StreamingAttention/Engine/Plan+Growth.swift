import KernelTable

/// Tables that have only grown since they were listed: a step costs what it adds, not what it reads.
extension Plan {
  /// Adds what the same tables have grown by since they were listed; false if that cannot be done.
  mutating func extendTables(
    _ cache: KVCache, _ list: [StepRequest]
  ) throws(AttentionError) -> Bool {
    guard tables.count == cache.tableCount * requests.count else { return false }
    for index in 0..<tables.count {
      let (table, r) = (index / requests.count, index % requests.count)
      let source = ListedTable(
        sequence: list[r].sequence.serial,
        changes: try Self.changes(of: list[r].sequence, in: cache, table: table),
        epoch: requests[r].epoch, length: requests[r].length)
      guard tables[index].source == source, try extend(index, list[r].sequence, cache, table: table)
      else {
        return false
      }
    }
    return true
  }

  private mutating func extend(
    _ index: Int, _ sequence: SequenceID, _ cache: KVCache, table: Int
  ) throws(AttentionError) -> Bool {
    let listed = tables[index]
    let count = try AttentionError.wrapping { () throws(CacheError) in
      try cache.liveEntryCount(of: sequence, table: table)
    }
    let size = SummationOrder.leafEntries(liveEntries: count)
    tables[index].firstChangedLeaf = listed.firstLeaf + max(listed.leafCount - 1, 0)
    guard count > 0, listed.entryCount > 0 else { return count == listed.entryCount }
    guard count <= listed.entryRoom,
      size == SummationOrder.leafEntries(liveEntries: listed.entryCount)
    else { return false }
    var place = listed.firstEntry + listed.entryCount - 1
    let run = runs[listed.firstRun]
    var follows = true
    try AttentionError.wrapping { () throws(CacheError) in
      try cache.forEachLiveEntry(
        of: sequence, table: table, from: listed.entryCount - 1
      ) { entry in
        // New pages take the anchor of the page before, so this holds but for keys that are stored unturned.
        let isNew = place >= listed.firstEntry + listed.entryCount
        follows =
          follows && (!isNew || (entry.epoch == Int(run.epoch) && entry.anchor == run.anchor))
        guard follows else { return }
        set(place, of: index, to: entry, isNew: isNew, leafEntries: size)
        place += 1
      }
    }
    guard follows else { return false }
    tables[index].entryCount = count
    return true
  }

  /// Lists one more entry of a table, or what has become of its newest one, and its leaf.
  private mutating func set(
    _ place: Int, of index: Int, to entry: LiveEntry, isNew: Bool, leafEntries size: Int
  ) {
    if isNew {
      entries[place] = LeafEntry(
        page: Int32(entry.page), run: 0, basePosition: entry.basePosition,
        firstKey: tables[index].keyCount - entry.slots.lowerBound,
        firstSlot: Int32(entry.slots.lowerBound), endSlot: Int32(entry.slots.upperBound))
      numbers[place] = entry.number
      tables[index].keyCount += entry.slots.count
      if tables[index].newestTokens != .max { tables[index].newestTokens += entry.slots.count }
    } else {
      let more = entry.slots.upperBound - Int(entries[place].endSlot)
      tables[index].keyCount += more
      if tables[index].newestTokens != .max { tables[index].newestTokens += more }
      entries[place].page = Int32(entry.page)
      entries[place].endSlot = Int32(entry.slots.upperBound)
    }
    if unturnedEntries.count > 0 { unturnedEntries[place] = entries[place].unturned }
    let lastPosition = entry.basePosition + entry.slots.upperBound - 1
    var leaf = tables[index].firstLeaf + tables[index].leafCount - 1
    if leaves[leaf].number == entry.number / size {
      if isNew { leaves[leaf].entryCount += 1 }
      leaves[leaf].lastPosition = lastPosition
    } else {
      leaf += 1
      precondition(tables[index].leafCount < tables[index].leafRoom)
      leaves[leaf] = PlannedLeaf(
        number: entry.number / size, firstEntry: place, entryCount: 1,
        firstPosition: entry.basePosition + entry.slots.lowerBound, lastPosition: lastPosition)
      tables[index].leafCount += 1
    }
  }
}
