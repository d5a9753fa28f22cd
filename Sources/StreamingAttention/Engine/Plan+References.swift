import KernelTable

/// The leaves that a row with a horizon always reads, by index: what the rest is measured by.
///
/// The newest leaf that holds a slot visible to the row, and the one before it too when the row sees fewer slots of
/// the newest than half of what a leaf can hold. −1 for a row that sees nothing.
struct RowReferences: BitwiseCopyable {
  var first: Int32
  var newest: Int32

  static var none: RowReferences { RowReferences(first: -1, newest: -1) }
}

extension Plan {
  /// The reference leaves of one job at most; a job with more of them reads all that it sees.
  ///
  /// Neighbouring rows share their references, but for a border of leaves among them and the leaf before. More come
  /// up only where leaves hold hardly any slot.
  static let mostReferences = 4

  /// Lists the reference leaves of all rows in a shape, and gives a horizon to its jobs.
  mutating func listReferences(of shape: PlanShape, jobs range: Range<Int>) throws(AttentionError) {
    let firstRow = references.count
    for r in 0..<requests.count {
      let table = tables[shape.table * requests.count + r]
      try references.reserveCapacity(references.count + requests[r].queryCount)
      for row in 0..<requests[r].queryCount {
        references.appendReserved(
          referenceLeaves(
            of: table, shape: shape, position: positions[requests[r].queryPosition + row]))
      }
    }
    for index in range where jobs[index].leafCount > 1 {
      let job = jobs[index]
      var (first, newest) = (Int.max, -1)
      let start = firstRow + requests[job.request].firstQuery + job.firstQuery
      for row in start..<start + job.queryCount where references[row].newest >= 0 {
        first = min(first, Int(references[row].first))
        newest = max(newest, Int(references[row].newest))
      }
      guard newest >= 0, newest - first < Self.mostReferences else { continue }
      jobs[index].horizon = .inTile
      jobs[index].firstReference = first
      jobs[index].referenceCount = newest - first + 1
    }
  }

  private func referenceLeaves(
    of table: PlannedTable, shape: PlanShape, position: Int
  ) -> RowReferences {
    let visibility = Visibility(
      isCausal: shape.isCausal, window: shape.window, ahead: shape.rightWindow)
    var newest = table.firstLeaf + table.leafCount - 1
    var slots = 0
    while newest >= table.firstLeaf {
      slots = visibleSlots(of: leaves[newest], position: position, visibility)
      if slots > 0 { break }
      newest -= 1
    }
    guard slots > 0 else { return .none }
    let capacity =
      SummationOrder.leafEntries(liveEntries: table.entryCount) * PageLayout.slots
    var first = newest
    if 2 * slots < capacity, newest > table.firstLeaf,
      visibleSlots(of: leaves[newest - 1], position: position, visibility) > 0
    {
      first -= 1
    }
    return RowReferences(first: Int32(first), newest: Int32(newest))
  }

  /// Slots of a leaf that a row at `position` sees.
  private func visibleSlots(
    of leaf: PlannedLeaf, position: Int, _ visibility: Visibility
  ) -> Int {
    // No two positions lie further apart, so that nothing overflows.
    let ahead = visibility.isCausal ? 0 : min(visibility.ahead, 2 * KVCache.positions.upperBound)
    if leaf.firstPosition - position > ahead { return 0 }
    if visibility.window != .max, position - leaf.lastPosition >= visibility.window { return 0 }
    var count = 0
    for index in leaf.firstEntry..<leaf.firstEntry + leaf.entryCount {
      let entry = entries[index]
      var low = Int(entry.firstSlot)
      var high = Int(entry.endSlot)
      high = min(high, position - entry.basePosition + ahead + 1)
      if visibility.window != .max {
        low = max(low, position - visibility.window + 1 - entry.basePosition)
      }
      count += max(high - low, 0)
    }
    return count
  }
}
