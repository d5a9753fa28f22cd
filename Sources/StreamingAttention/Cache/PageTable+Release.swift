extension PageTable {
  /// Releases the oldest entries that end at or before `position` and hold no pinned token, but never the newest entry.
  func release(
    before position: Int, pins: borrowing PinnedTokens, to budget: inout MemoryBudget
  ) {
    var (kept, index) = (0, 0)
    while index < entries.count - 1, entries[index].endPosition <= position {
      if pins.overlap(entries[index].tokens) {
        entries[kept] = entries[index]
        kept += 1
      } else {
        pool.releaseSet(entries[index].page, to: &budget)
      }
      index += 1
    }
    guard kept < index else { return }
    entries.removeSubrange(kept..<index)
    changeCount += 1
    settledCount = max(settledCount - (index - kept), 0)
  }

  /// Releases everything.
  func removeAll(to budget: inout MemoryBudget) {
    for index in 0..<entries.count { pool.releaseSet(entries[index].page, to: &budget) }
    entries.removeSubrange(0..<entries.count)
    changeCount += 1
    settledCount = 0
    closeExtent(to: &budget)
  }

  private func closeExtent(to budget: inout MemoryBudget) {
    if extent != Self.noExtent { pool.closeExtent(extent, to: &budget) }
    extent = Self.noExtent
    changeAhead(to: .none, &budget)
  }

  // MARK: Rewinding

  /// Gives up the tokens from `length` on; it never fails.
  func truncate(to length: Int, budget: inout MemoryBudget) {
    changeCount += 1
    while entries.count > 0 {
      let newest = entries[entries.count - 1]
      guard newest.tokens.lowerBound >= length else {
        if newest.tokens.upperBound > length {
          entries[entries.count - 1].endSlot = Int16(length - Int(newest.firstToken))
        }
        break
      }
      giveBack(newest, to: &budget)
      entries.removeLast()
    }
    if entries.count == 0 { (nextNumber, hasEvicted) = (0, false) }
    settledCount = min(settledCount, entries.count)
    isRewound = entries.count > 0
    settleExtent(to: &budget)
  }

  /// Closes the open extent if nothing in it is alive, or if it has no place for the next page: its pages follow the
  /// numbers of entries.
  func settleExtent(to budget: inout MemoryBudget) {
    guard extent != Self.noExtent else { return }
    let open = pool.extents[Int(extent)]
    let meant = extentStart + Int(open.usedPages)
    let isMisplaced = (meant - nextNumber) % SummationOrder.largestLeafEntries != 0
    // The next page in codes is not that of the next entry.
    if open.livePages == 0 || (isMisplaced && !pool.isQuantized) {
      closeExtent(to: &budget)
    }
  }

  /// Releases the newest entry; a page at the end of the open extent can be taken again.
  private func giveBack(_ newest: PageEntry, to budget: inout MemoryBudget) {
    let set = pool.sets[Int(newest.page)]
    pool.releaseSet(newest.page, to: &budget)
    if set.referenceCount == 1, set.extent == extent,
      set.indexInExtent == pool.extents[Int(extent)].usedPages - 1
    {
      pool.extents[Int(extent)].usedPages -= 1
    }
    nextNumber = Int(newest.number)
    if set.isCoded == pool.isQuantized { pagesWritten = max(pagesWritten - 1, 0) }
  }

  /// The index of the oldest entry after which no token is missing.
  private var firstKept: Int {
    var index = entries.count - 1
    while index > 0, entries[index - 1].tokens.upperBound == entries[index].tokens.lowerBound {
      index -= 1
    }
    return index
  }

  /// The shortest length above 0 at which the window of the next token holds all its tokens; 0 if any length will do.
  func shortestLength(window: Int) -> Int {
    guard entries.count > 0 else { return 0 }
    let first = firstKept
    guard entries[first].tokens.lowerBound > 0 else { return 0 }
    // The token before is missing: the next token must stand a window after it.
    let needed = entries[first].firstPosition - 1 + window
    for index in first..<entries.count where entries[index].endPosition >= needed {
      let entry = entries[index]
      return max(entry.tokens.lowerBound, Int(entry.firstToken) + needed - 1 - entry.basePosition)
        + 1
    }
    return entries[entries.count - 1].tokens.upperBound
  }

  // MARK: Forks

  /// Makes room for all that `fork` copies from `table`.
  func prepareFork(of table: PageTable) throws(CacheError) {
    try entries.reserveCapacity(table.entries.count)
  }

  /// Becomes a copy of `table` that shares its page sets, and takes its next page from an extent of its own.
  ///
  /// - Precondition: The table is empty, and prepared.
  func fork(_ table: PageTable) {
    for index in 0..<table.entries.count {
      let entry = table.entries[index]
      pool.sets[Int(entry.page)].referenceCount += 1
      entries.append(entry)
    }
    nextNumber = table.nextNumber
    pageEpoch = table.pageEpoch
    isRewound = table.isRewound
    settledCount = table.settledCount
    hasEvicted = table.hasEvicted
  }
}
