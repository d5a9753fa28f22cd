import KernelTable

extension Plan {
  /// Lists the requests, what their page tables hold with this step's slots, and their rows' positions.
  ///
  /// Rows that reach back to what the cache has given up for one of the shapes are refused before anything is listed for each of them.
  mutating func list(
    _ list: [StepRequest], for shapes: [PlanShape] = [], in cache: KVCache
  ) throws(AttentionError) {
    var positionCount = 0
    for request in list {
      let rotation = try AttentionError.wrapping { () throws(CacheError) in
        try cache.rotation(of: request.sequence)
      }
      let planned = PlannedRequest(
        firstToken: tokenCount, tokenCount: request.tokenCount, firstQuery: queryCount,
        queryCount: request.queryCount, firstPosition: positionCount,
        epoch: Int32(rotation.epoch),
        length: followsLength && rotation.keys == .whenRead
          ? try Self.length(of: request, in: cache) : 0)
      try requests.append(planned)
      tokenCount += request.tokenCount
      queryCount += request.queryCount
      positionCount += planned.positionCount
    }
    let knew = knowsEqualLeaves
    // If listing fails, what is known may be of leaves that are no more.
    knowsEqualLeaves = false
    try listTables(cache, list)
    try findEqualLeaves(afterKnown: knew)
    for r in 0..<requests.count { try checkNewest(of: r) }
    for shape in shapes where shape.window != .max { try checkWindow(of: shape) }
    try positions.discardAndResize(to: positionCount)
    for r in 0..<requests.count { placeRows(of: r) }
    placeBiases()
  }

  /// Tokens of a request's sequence at the end of the step: its last position + 1.
  private static func length(
    of request: StepRequest, in cache: KVCache
  ) throws(AttentionError) -> Int {
    try AttentionError.wrapping { () throws(CacheError) in
      try cache.nextPosition(of: request.sequence) + request.tokenCount
    }
  }

  /// Where each table's rows × keys begin.
  private mutating func placeBiases() {
    for index in 0..<tables.count {
      let request = index % requests.count
      let before = request > 0 ? tables[index - 1] : nil
      tables[index].firstBias =
        before.map { $0.firstBias + requests[request - 1].queryCount * $0.keyCount } ?? 0
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
  private func checkWindow(of shape: PlanShape) throws(AttentionError) {
    for r in 0..<requests.count where requests[r].queryCount > 0 {
      let table = tables[shape.table * requests.count + r]
      guard table.entryCount > 0, table.keptFrom != .min else { continue }
      let kept = table.keptFrom
      let first = firstRowPosition(of: r)
      guard first - kept >= shape.window - 1 else {
        throw .request(
          received: "rows from position \(first) on with a window of \(shape.window)",
          allowed: "rows from position \(kept + shape.window - 1) on, whose keys are still kept")
      }
    }
  }

  /// Throws if rows or tokens reach back to pages that have been evicted: where they stood is not known any more.
  private func checkNewest(of index: Int) throws(AttentionError) {
    guard tables[index].newestTokens < requests[index].positionCount else { return }
    throw .request(
      received: "rows of the newest \(requests[index].positionCount) tokens",
      allowed: "up to \(tables[index].newestTokens): tokens before them have been evicted")
  }

  /// Where the first query row of a request stands, as `placeRows` places it.
  private func firstRowPosition(of index: Int) -> Int {
    let table = tables[index]
    var (rows, position) = (requests[index].queryCount, 0)
    for entry in (table.firstEntry..<table.firstEntry + table.entryCount).reversed() {
      let (first, end) = (Int(entries[entry].firstSlot), Int(entries[entry].endSlot))
      guard rows > end - first else { return entries[entry].basePosition + end - rows }
      (rows, position) = (rows - (end - first), entries[entry].basePosition + first)
    }
    return position - rows
  }

  /// Rows belong to the newest tokens; rows before the first live token stand at the positions before it.
  private mutating func placeRows(of index: Int) {
    let request = requests[index]
    let table = tables[index]
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
