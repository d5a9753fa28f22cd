import KernelTable

/// One sequence's entries in one pool, oldest first.
final class PageTable {
  /// What a step that is given up goes back to.
  struct Mark {
    var entryCount = 0
    var endSlot: Int16 = 0
    /// Free slots of the newest entry that the next tokens may take.
    var room = 0
    var extent: Int32 = PageTable.noExtent
    var extentStart = 0
    var pagesWritten = 0
    var nextNumber = 0
    var isRewound = false
    /// The shared page set that the newest entry named before the step copied it.
    var sharedPage: Int32 = PageTable.noPage
    /// The page set in codes that the newest entry named before the step widened it.
    var codedPage: Int32 = PageTable.noPage
    /// `settledCount` before the step, and what its commit makes of it.
    var earlierSettledCount = 0
    var settledCount = 0
  }

  static let noExtent: Int32 = -1
  static let noPage: Int32 = -1

  let pool: PagePool
  var entries = GrowingTable<PageEntry>()
  /// The extent that the next page comes from, if it has room, and the entry that its first page was meant for.
  var extent = PageTable.noExtent
  var extentStart = 0
  /// What it has committed ahead for the extent after that.
  var ahead = AheadShare.none
  /// Pages written since the sequence began or was forked.
  var pagesWritten = 0
  var nextNumber = 0
  /// The epoch of the next page sets; a newest entry of another takes no more tokens.
  var pageEpoch = PageSet.firstEpoch
  /// Whether the newest entry has lost slots since it was written last: its norms are computed anew then.
  var isRewound = false
  /// Counts what has been done to the entries other than growth at the end: who has listed them looks here.
  var changeCount = 0
  /// Whether entries between live ones may have been evicted.
  var hasEvicted = false
  var mark = Mark()
  /// What the commit of the step in progress turns into codes.
  var codes = GrowingTable<PendingCode>()
  /// Oldest entries that need no look any more: in codes, or never to be.
  var settledCount = 0
  /// Counts `begin`.
  private(set) var stepNumber = 0
  /// What `undo` sets the norms of the newest page before the step back to, by column.
  private(set) var savedNorms = GrowingTable<SavedNorms>()
  /// What removals have made of the table so far, while they can still fail.
  var draft = TableDraft()

  init(pool: PagePool) { self.pool = pool }

  /// The entry and slot that the first reserved token goes to.
  var reservedStart: (entry: Int, slot: Int) {
    if mark.room > 0 {
      (mark.entryCount - 1, Int(mark.endSlot))
    } else {
      (mark.entryCount, 0)
    }
  }

  /// Whether the first reserved token goes to a page that had lost slots before.
  var reservesRewound: Bool { mark.room > 0 && mark.isRewound }

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

  /// Page sets that `tokenCount` more tokens would add, copies not counted.
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
      extent: extent, extentStart: extentStart, pagesWritten: pagesWritten,
      nextNumber: nextNumber, isRewound: isRewound, earlierSettledCount: settledCount,
      settledCount: settledCount)
  }

  /// Adds the slots of `tokenCount` tokens from token `first` at `position` on; what it did before a throw, `undo`
  /// takes back.
  func reserve(
    _ tokenCount: Int, token first: Int, at position: Int, from budget: inout MemoryBudget
  ) throws(CacheError) {
    if savedNorms.count == 0 {
      try savedNorms.reserveCapacity(pool.columnCount)
      savedNorms.resize(to: pool.columnCount, filler: SavedNorms(step: 0, norms: .unknown))
    }
    var (token, position) = (first, position)
    let end = first + tokenCount
    if tokenCount > 0, mark.room > 0 {
      try ownNewest(from: &budget)
      let taken = min(tokenCount, mark.room)
      entries[entries.count - 1].endSlot += Int16(taken)
      pool.noteChange(of: entries[entries.count - 1].page)
      isRewound = false
      token += taken
      position += taken
    }
    while token < end {
      let taken = min(end - token, PageLayout.slots)
      try addEntry(token: token, at: position, endSlot: taken, from: &budget)
      token += taken
      position += taken
    }
    if tokenCount > 0 { try reserveCodes(end: end, from: &budget) }
  }

  /// Copies the newest page set if others share it: they keep what it holds.
  private func ownNewest(from budget: inout MemoryBudget) throws(CacheError) {
    let newest = entries[entries.count - 1]
    if pool.sets[Int(newest.page)].isCoded { return try widenNewest(from: &budget) }
    guard pool.sets[Int(newest.page)].referenceCount > 1 else { return }
    let copy = try pool.addCopy(of: newest.page, forEntry: Int(newest.number), from: &budget)
    entries[entries.count - 1].page = copy
    pool.sets[Int(newest.page)].referenceCount -= 1
    mark.sharedPage = newest.page
    if !pool.isQuantized { pagesWritten += 1 }
  }

  private func addEntry(
    token: Int, at position: Int, endSlot: Int, from budget: inout MemoryBudget
  ) throws(CacheError) {
    try entries.reserveCapacity(entries.count + 1)
    let offset = position - nextAnchor
    // Plain pages of a quantised table are soon given back: extents are for what stays.
    let page =
      pool.isQuantized
      ? try pool.addPrivateSet(
        forEntry: nextNumber, epoch: pageEpoch, offset: offset, isInStep: true, from: &budget)
      : try takePage(
        forEntry: nextNumber, epoch: pageEpoch, offset: offset, isCoded: false, from: &budget)
    entries.append(
      PageEntry(
        number: Int32(nextNumber), page: page, basePosition: position, firstToken: Int32(token),
        firstSlot: 0, endSlot: Int16(endSlot)))
    isRewound = false
    nextNumber += 1
  }

  /// Takes a page set from the open extent, or from a new one, for an entry of that number.
  func takePage(
    forEntry number: Int, epoch: Int32, offset: Int, isCoded: Bool, from budget: inout MemoryBudget
  ) throws(CacheError) -> Int32 {
    if !takes(number) {
      let pageCount = ExtentRule.pageCount(
        firstEntry: number, pagesWritten: pagesWritten, largest: pool.largestExtent)
      let opened = try pool.openExtentInStep(
        firstEntry: number, pageCount: pageCount, isCoded: isCoded, from: &budget)
      if extent != Self.noExtent { pool.extents[Int(extent)].isOpen = false }
      extent = opened
      extentStart = number
    }
    let page = try pool.addSet(to: extent, epoch: epoch, offset: offset)
    pagesWritten += 1
    return page
  }

  /// Whether the extent has a page for an entry of that number: its pages follow the numbers of entries, up to whole leaves.
  private func takes(_ number: Int) -> Bool {
    guard extent != Self.noExtent, !pool.extents[Int(extent)].isFull else { return false }
    let meant = extentStart + Int(pool.extents[Int(extent)].usedPages)
    return (meant - number) % SummationOrder.largestLeafEntries == 0
  }

  /// Gives up the latest page set, and its extent if it was the first in it.
  func giveUpPage(_ page: Int32, to budget: inout MemoryBudget) {
    let owner = pool.sets[Int(page)].extent
    pool.undoAddSet(page)
    if pool.extents[Int(owner)].usedPages == 0, owner != mark.extent {
      pool.undoOpenExtent(owner, to: &budget)
    }
  }

  /// Takes back what `reserve` did, latest first.
  func undo(to budget: inout MemoryBudget) {
    changeCount += 1
    // Opened for a page that then failed: the latest thing done.
    if extent != Self.noExtent, extent != mark.extent,
      pool.extents[Int(extent)].usedPages == 0
    {
      pool.undoOpenExtent(extent, to: &budget)
    }
    undoCodes(to: &budget)
    while entries.count > mark.entryCount {
      giveUpPage(entries[entries.count - 1].page, to: &budget)
      entries.removeLast()
    }
    extent = mark.extent
    extentStart = mark.extentStart
    if extent != Self.noExtent { pool.extents[Int(extent)].isOpen = true }
    if entries.count > 0 {
      let last = entries.count - 1
      entries[last].endSlot = mark.endSlot
      if mark.codedPage != Self.noPage {
        pool.releaseSet(entries[last].page, to: &budget)
        entries[last].page = mark.codedPage
      } else if mark.sharedPage == Self.noPage {
        restoreNorms(ofPage: Int(entries[last].page))
      } else {
        pool.releaseSet(entries[last].page, to: &budget)
        entries[last].page = mark.sharedPage
        pool.sets[Int(mark.sharedPage)].referenceCount += 1
      }
    }
    pagesWritten = mark.pagesWritten
    nextNumber = mark.nextNumber
    isRewound = mark.isRewound
    settledCount = mark.earlierSettledCount
    mark = Mark()
  }

  /// The extent that the step in progress began with, which stays even if nothing in it is alive.
  var heldExtent: Int32 { mark.extent }

  /// Takes back what the step's writers did to the bounds of a page that had live slots before.
  private func restoreNorms(ofPage page: Int) {
    for column in 0..<savedNorms.count where savedNorms[column].step == stepNumber {
      pool.norms[column, page] = savedNorms[column].norms
    }
  }

  /// Makes the reserved slots live, and gives back what the retention no longer keeps.
  ///
  /// Returns whether the step has copied a shared page set.
  func commit(
    nextPosition: Int, pins: borrowing PinnedTokens, to budget: inout MemoryBudget
  ) -> Bool {
    commitCodes(to: &budget)
    if mark.codedPage != Self.noPage { pool.releaseSet(mark.codedPage, to: &budget) }
    // Forks that have gone, or moved on in this step, may have left nothing alive in the extent before.
    if mark.extent != Self.noExtent, mark.extent != extent {
      pool.freeIfDead(mark.extent, to: &budget)
    }
    if case .window(let length) = pool.retention {
      // One page of slack, so that a short rewind finds its window.
      release(before: nextPosition - length - PageLayout.slots, pins: pins, to: &budget)
    }
    commitAhead(&budget)
    defer { mark = Mark() }
    return mark.sharedPage != Self.noPage
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
    changeCount += 1
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
    for index in 0..<codes.count {
      let page = Int(codes[index].target)
      pool.forEachColumn { column, layer, _ in
        // SAFETY: likewise, of a page in codes.
        let address = unsafe pool.addresses[column, page]
        unsafe address?.initializeMemory(
          as: UInt8.self, repeating: byte, count: pool.codedLayouts[layer].pageBytes)
      }
    }
  }
}
