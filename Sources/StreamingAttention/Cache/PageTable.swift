import KernelTable

/// One sequence's entries in one pool, oldest first.
final class PageTable {
  /// What a step that is given up goes back to.
  private struct Mark {
    var entryCount = 0
    var endSlot: Int32 = 0
    /// Free slots of the newest entry that the next tokens may take.
    var room = 0
    var extent: Int32 = PageTable.noExtent
    var pagesWritten = 0
    var nextNumber = 0
  }

  private static let noExtent: Int32 = -1

  let pool: PagePool
  private(set) var entries = GrowingTable<PageEntry>()
  /// The extent that the next page comes from, if it has room.
  private(set) var extent = PageTable.noExtent
  /// Pages written since the sequence began.
  private(set) var pagesWritten = 0
  private var nextNumber = 0
  /// The epoch of the next page sets; a newest entry of another takes no more tokens.
  var pageEpoch = PageSet.firstEpoch
  private var mark = Mark()
  /// Counts `begin`.
  private(set) var stepNumber = 0
  /// What `undo` sets the norms of the newest page before the step back to, by column.
  private(set) var savedNorms = GrowingTable<SavedNorms>()

  init(pool: PagePool) { self.pool = pool }

  /// The entry and slot that the first reserved token goes to.
  var reservedStart: (entry: Int, slot: Int) {
    if mark.room > 0 {
      (mark.entryCount - 1, Int(mark.endSlot))
    } else {
      (mark.entryCount, 0)
    }
  }

  func anchor(of entry: PageEntry) -> Int {
    entry.basePosition - pool.sets[Int(entry.page)].offset
  }

  /// The anchor that the next keys take: that of the last entry, 0 for a first one.
  var nextAnchor: Int { entries.count > 0 ? anchor(of: entries[entries.count - 1]) : 0 }

  /// Free slots of the newest entry, if its keys are turned as the next ones are.
  private var room: Int {
    guard entries.count > 0 else { return 0 }
    let newest = entries[entries.count - 1]
    guard pool.sets[Int(newest.page)].epoch == pageEpoch else { return 0 }
    return PageLayout.slots - Int(newest.endSlot)
  }

  /// Page sets that `tokenCount` more tokens would add.
  func newSets(for tokenCount: Int) -> Int {
    (max(tokenCount - room, 0) + PageLayout.slots - 1) / PageLayout.slots
  }

  // MARK: Steps

  /// Remembers the state that `undo` goes back to.
  func begin() {
    stepNumber += 1
    mark = Mark(
      entryCount: entries.count,
      endSlot: entries.count > 0 ? entries[entries.count - 1].endSlot : 0, room: room,
      extent: extent, pagesWritten: pagesWritten, nextNumber: nextNumber)
  }

  /// Adds the slots of `tokenCount` tokens from `position` on; what it did before a throw, `undo` takes back.
  func reserve(
    _ tokenCount: Int, at position: Int, from budget: inout MemoryBudget
  ) throws(CacheError) {
    if savedNorms.count == 0 {
      try savedNorms.reserveCapacity(pool.columnCount)
      savedNorms.resize(to: pool.columnCount, filler: SavedNorms(step: 0, norms: .unknown))
    }
    var position = position
    var remaining = tokenCount
    if entries.count > 0 {
      let last = entries.count - 1
      let taken = min(remaining, room)
      entries[last].endSlot += Int32(taken)
      position += taken
      remaining -= taken
    }
    while remaining > 0 {
      let taken = min(remaining, PageLayout.slots)
      try addEntry(at: position, endSlot: taken, from: &budget)
      position += taken
      remaining -= taken
    }
  }

  private func addEntry(
    at position: Int, endSlot: Int, from budget: inout MemoryBudget
  ) throws(CacheError) {
    try entries.reserveCapacity(entries.count + 1)
    if extent == Self.noExtent || pool.extents[Int(extent)].isFull {
      let pageCount = ExtentRule.pageCount(
        firstEntry: nextNumber, pagesWritten: pagesWritten, largest: pool.largestExtent)
      let opened = try pool.openExtent(
        firstEntry: nextNumber, pageCount: pageCount, from: &budget)
      if extent != Self.noExtent { pool.extents[Int(extent)].isOpen = false }
      extent = opened
    }
    let page = try pool.addSet(
      to: extent, epoch: pageEpoch, offset: position - nextAnchor)
    entries.append(
      PageEntry(
        number: Int32(nextNumber), page: page, basePosition: position, firstSlot: 0,
        endSlot: Int32(endSlot)))
    nextNumber += 1
    pagesWritten += 1
  }

  /// Takes back what `reserve` did, latest first.
  func undo(to budget: inout MemoryBudget) {
    // Opened for a page that then failed: the latest thing done.
    if extent != Self.noExtent, extent != mark.extent,
      pool.extents[Int(extent)].usedPages == 0
    {
      pool.undoOpenExtent(extent, to: &budget)
    }
    while entries.count > mark.entryCount {
      let page = entries[entries.count - 1].page
      let owner = pool.sets[Int(page)].extent
      entries.removeLast()
      pool.undoAddSet(page)
      if pool.extents[Int(owner)].usedPages == 0, owner != mark.extent {
        pool.undoOpenExtent(owner, to: &budget)
      }
    }
    extent = mark.extent
    if extent != Self.noExtent { pool.extents[Int(extent)].isOpen = true }
    if entries.count > 0 {
      entries[entries.count - 1].endSlot = mark.endSlot
      restoreNorms(ofPage: Int(entries[entries.count - 1].page))
    }
    pagesWritten = mark.pagesWritten
    nextNumber = mark.nextNumber
  }

  /// Takes back what the step's writers did to the bounds of a page that had live slots before.
  private func restoreNorms(ofPage page: Int) {
    for column in 0..<savedNorms.count where savedNorms[column].step == stepNumber {
      pool.norms[column, page] = savedNorms[column].norms
    }
  }

  /// Makes the reserved slots live, and gives back what the retention no longer keeps.
  func commit(nextPosition: Int, to budget: inout MemoryBudget) {
    guard case .window(let length) = pool.retention else { return }
    // One page of slack, so that a short rewind finds its window.
    release(before: nextPosition - length - PageLayout.slots, to: &budget)
  }

  // MARK: Releasing

  /// Releases the oldest entries that end at or before `position`, but never the newest entry.
  private func release(before position: Int, to budget: inout MemoryBudget) {
    var count = 0
    while count < entries.count - 1, entries[count].endPosition <= position {
      pool.releaseSet(entries[count].page, to: &budget)
      count += 1
    }
    entries.removeSubrange(0..<count)
  }

  /// Releases everything.
  func removeAll(to budget: inout MemoryBudget) {
    for index in 0..<entries.count { pool.releaseSet(entries[index].page, to: &budget) }
    entries.removeSubrange(0..<entries.count)
    if extent != Self.noExtent { pool.closeExtent(extent, to: &budget) }
    extent = Self.noExtent
  }

  // MARK: Positions

  /// The index of the oldest live entry numbered `number` or higher, `entries.count` if there is none.
  func index(ofEntry number: Int) -> Int {
    var index = 0
    while index < entries.count, Int(entries[index].number) < number { index += 1 }
    return index
  }

  /// Moves the entries from `index` on; their anchors move with them.
  func move(from index: Int, by delta: Int) {
    for index in index..<entries.count { entries[index].basePosition += delta }
  }

  /// Fills every page added since `begin`.
  func fillReservedPages(with byte: UInt8) {
    for index in mark.entryCount..<entries.count {
      let page = Int(entries[index].page)
      pool.forEachColumn { column, layer, _ in
        // SAFETY: a reserved page is committed and `pageBytes` long.
        let address = unsafe pool.addresses[column, page]
        unsafe address?.initializeMemory(
          as: UInt8.self, repeating: byte, count: pool.layouts[layer].pageBytes)
      }
    }
  }
}
