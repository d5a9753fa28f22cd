import KernelTable

extension Plan {
  /// Lists the requests, their rows' positions, and what their page tables hold with this step's slots.
  mutating func list(_ list: [StepRequest], in cache: KVCache) throws(AttentionError) {
    for request in list {
      let rotation = try AttentionError.wrapping { () throws(CacheError) in
        try cache.rotation(of: request.sequence)
      }
      let planned = PlannedRequest(
        firstToken: tokenCount, tokenCount: request.tokenCount, firstQuery: queryCount,
        queryCount: request.queryCount, firstPosition: positions.count,
        epoch: Int32(rotation.epoch))
      try requests.append(planned)
      tokenCount += request.tokenCount
      queryCount += request.queryCount
      try positions.reserveCapacity(positions.count + planned.positionCount)
      for _ in 0..<planned.positionCount { positions.appendReserved(0) }
    }
    for table in 0..<cache.tableCount {
      for r in 0..<requests.count {
        try listEntries(of: r, list[r].sequence, in: cache, table: table)
        try listLeaves(of: tables.count - 1)
        if table == 0 { placeRows(of: r) }
      }
    }
    try listUnturnedEntries()
  }

  /// A layer without a rotation need not prepare its queries for every run.
  private mutating func listUnturnedEntries() throws(AttentionError) {
    guard (0..<tables.count).contains(where: { tables[$0].runCount > 1 }) else { return }
    try unturnedEntries.reserveCapacity(entries.count)
    for index in 0..<entries.count {
      var entry = entries[index]
      (entry.run, entry.slotTurns) = (0, -1)
      unturnedEntries.appendReserved(entry)
    }
  }

  /// Whether any request has a live entry in the page table of that number.
  func hasEntries(inTable table: Int) -> Bool {
    for r in 0..<requests.count where tables[table * requests.count + r].entryCount > 0 {
      return true
    }
    return false
  }

  /// Throws if a row's window reaches back to keys that the cache has given up.
  ///
  /// That happens to rows of older tokens only, asked for again: a table with a window keeps what the next token sees.
  func checkWindow(of shape: PlanShape) throws(AttentionError) {
    for r in 0..<requests.count where requests[r].queryCount > 0 {
      let table = tables[shape.table * requests.count + r]
      guard table.entryCount > 0, table.keptFrom != .min else { continue }
      let kept = table.keptFrom
      let first = positions[requests[r].queryPosition]
      guard first - kept >= shape.window - 1 else {
        throw .request(
          received: "rows from position \(first) on with a window of \(shape.window)",
          allowed: "rows from position \(kept + shape.window - 1) on, whose keys are still kept")
      }
    }
  }

  private mutating func listEntries(
    of request: Int, _ sequence: SequenceID, in cache: KVCache, table: Int
  ) throws(AttentionError) {
    var keyCount = 0
    let firstEntry = entries.count
    let firstRun = runs.count
    let epoch = requests[request].epoch
    let count = try AttentionError.wrapping { () throws(CacheError) in
      try cache.liveEntryCount(of: sequence, table: table)
    }
    try entries.reserveCapacity(firstEntry + count)
    try numbers.reserveCapacity(firstEntry + count)
    try runs.reserveCapacity(firstRun + count + 1)
    var newestAnchor = 0
    var (keptFrom, nextToken) = (Int.min, 0)
    try AttentionError.wrapping { () throws(CacheError) in
      try cache.forEachLiveEntry(of: sequence, table: table) { entry in
        let isOwn = entry.epoch == epoch
        let run = PlannedRun(
          anchor: isOwn ? entry.anchor : entry.basePosition, epoch: Int32(entry.epoch),
          offset: isOwn || entry.epoch == PageSet.unturned ? 0 : entry.basePosition - entry.anchor)
        if !isOwn || runs.count == firstRun || runs[runs.count - 1] != run {
          runs.appendReserved(run)
        }
        newestAnchor = entry.anchor
        if entry.tokens.lowerBound != nextToken {
          keptFrom = entry.basePosition + entry.slots.lowerBound
        }
        nextToken = entry.tokens.upperBound
        entries.appendReserved(
          LeafEntry(
            page: Int32(entry.page), run: Int32(runs.count - firstRun - 1),
            basePosition: entry.basePosition, firstKey: keyCount - entry.slots.lowerBound,
            firstSlot: Int32(entry.slots.lowerBound), endSlot: Int32(entry.slots.upperBound)))
        keyCount += entry.slots.count
        numbers.appendReserved(entry.number)
      }
    }
    // Rows are turned by run 0 first: an anchor that does not move while the sequence grows, whatever the newest page holds.
    if let newest = runs.count > firstRun ? runs[runs.count - 1] : nil, newest.epoch != epoch {
      runs.appendReserved(PlannedRun(anchor: newestAnchor, epoch: epoch, offset: 0))
    }
    let runCount = runs.count - firstRun
    numberRunsFromTheNewest(entries: firstEntry..<entries.count, runs: firstRun..<runs.count)
    try listSlotTables(entries: firstEntry..<entries.count, firstRun: firstRun, epoch: epoch)
    var firstBias = 0
    if request > 0 {
      let before = tables[tables.count - 1]
      firstBias = before.firstBias + requests[request - 1].queryCount * before.keyCount
    }
    try tables.append(
      PlannedTable(
        firstEntry: firstEntry, entryCount: entries.count - firstEntry, firstLeaf: leaves.count,
        leafCount: 0, firstRun: firstRun, runCount: runCount, keptFrom: keptFrom,
        keyCount: keyCount, firstBias: firstBias))
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
    entries range: Range<Int>, firstRun: Int, epoch: Int32
  ) throws(AttentionError) {
    for index in range {
      let keyEpoch = runs[firstRun + Int(entries[index].run)].epoch
      guard keyEpoch != epoch else { continue }
      let wanted = SlotTable(epoch: epoch, keyEpoch: keyEpoch)
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
      let (oldest, newest) = (entries[first], entries[end - 1])
      try leaves.append(
        PlannedLeaf(
          number: number, firstEntry: first, entryCount: end - first,
          firstPosition: oldest.basePosition + Int(oldest.firstSlot),
          lastPosition: newest.basePosition + Int(newest.endSlot) - 1))
      tables[index].leafCount += 1
      first = end
    }
  }

  /// Rows belong to the newest tokens; rows before the first live token stand at the positions before it.
  private mutating func placeRows(of index: Int) {
    let request = requests[index]
    let table = tables[tables.count - 1]
    var row = request.positionCount - 1
    var entry = table.firstEntry + table.entryCount - 1
    var position = 0
    while row >= 0, entry >= table.firstEntry {
      var slot = Int(entries[entry].endSlot) - 1
      while row >= 0, slot >= Int(entries[entry].firstSlot) {
        position = entries[entry].basePosition + slot
        positions[request.firstPosition + row] = position
        slot -= 1
        row -= 1
      }
      entry -= 1
    }
    while row >= 0 {
      position -= 1
      positions[request.firstPosition + row] = position
      row -= 1
    }
  }
}
