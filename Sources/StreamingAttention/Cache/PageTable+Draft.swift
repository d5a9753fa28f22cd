/// Removals of tokens: drafted first, which may fail, then applied, which may not.
extension PageTable {
  /// Slots of two neighbours that are merged: half a page.
  private static let mostMergedSlots = PageLayout.slots / 2

  /// Begins a draft with the table as it is.
  func beginDraft() throws(CacheError) {
    draft.removeAll()
    try draft.entries.reserveCapacity(entries.count)
    for index in 0..<entries.count { draft.entries.append(entries[index]) }
    draft.nextNumber = nextNumber
    draft.isRewound = isRewound
  }

  /// Removes tokens from the draft: later ones move down, their positions too.
  ///
  /// The first `sinkCount` tokens are in pages that are not merged.
  func draftRemoval(
    of tokens: Range<Int>, sinkCount: Int, from budget: inout MemoryBudget
  ) throws(CacheError) {
    let first = draft.index(endingAfter: tokens.lowerBound)
    let end = draft.index(startingAt: tokens.upperBound)
    guard first < end else {
      moveDown(from: first, by: tokens.count)
      return
    }
    let touched = Int(draft.entries[first].number)...Int(draft.entries[end - 1].number)
    let touchesNewest = end == draft.entries.count
    var next = first
    let only = draft.entries[first]
    if end - first == 1, only.tokens.lowerBound < tokens.lowerBound,
      only.tokens.upperBound > tokens.upperBound
    {
      try draftStraddling(first, tokens, from: &budget)
      next = first + 1
    } else {
      next = try draftCuts(first..<end, tokens)
    }
    moveDown(from: next, by: tokens.count)
    if touchesNewest { draft.isRewound = true }
    guard draft.entries.count > 0 else { return }
    var entry = max(next - 1, 0)
    try draftMerges(around: &entry, sinkCount: sinkCount, from: &budget)
    if entry + 1 < draft.entries.count {
      entry += 1
      try draftMerges(around: &entry, sinkCount: sinkCount, from: &budget)
    }
    renumber(after: tokens.lowerBound, touched: touched)
  }

  private func moveDown(from index: Int, by count: Int) {
    for index in index..<draft.entries.count {
      draft.entries[index].basePosition -= count
      draft.entries[index].firstToken -= Int32(count)
    }
  }

  /// Shortens or gives up the entries of a removal that reaches an end of each; the first entry after it.
  private func draftCuts(_ range: Range<Int>, _ tokens: Range<Int>) throws(CacheError) -> Int {
    try draft.releases.reserveCapacity(draft.releases.count + range.count)
    var (kept, next) = (range.lowerBound, range.lowerBound)
    for index in range {
      var entry = draft.entries[index]
      if entry.tokens.lowerBound < tokens.lowerBound {
        entry.endSlot = Int16(tokens.lowerBound - Int(entry.firstToken))
        next = kept + 1
      } else if entry.tokens.upperBound > tokens.upperBound {
        entry.firstSlot = Int16(tokens.upperBound - Int(entry.firstToken))
      } else {
        draft.releases.append(entry.page)
        continue
      }
      draft.entries[kept] = entry
      kept += 1
    }
    draft.entries.removeSubrange(kept..<range.upperBound)
    return next
  }

  /// Removes slots from the middle of a page: later ones move down.
  private func draftStraddling(
    _ index: Int, _ tokens: Range<Int>, from budget: inout MemoryBudget
  ) throws(CacheError) {
    var entry = draft.entries[index]
    let start = tokens.lowerBound - Int(entry.firstToken)
    let end = tokens.upperBound - Int(entry.firstToken)
    let offset = draftOffset(of: entry.page)
    let target = try draftTarget(entry, nil, offset: offset, from: &budget)
    draft.rewrites.append(
      PageRewrite(
        first: .init(entry.page, Int(entry.firstSlot)..<start, turn: 0),
        second: .init(entry.page, end..<Int(entry.endSlot), turn: -tokens.count),
        target: target.page, slot: Int(entry.firstSlot), offset: offset,
        isPrivate: target.isPrivate, isMerge: false))
    if target.isPrivate { draft.releases.append(entry.page) }
    entry.page = target.page
    entry.endSlot -= Int16(tokens.count)
    draft.entries[index] = entry
  }

  /// Where an entry, or two as one, will be written: in a plain set that nobody shares, or in a new one.
  ///
  /// Afterwards the draft has room for a rewrite and two releases.
  private func draftTarget(
    _ first: PageEntry, _ second: PageEntry?, offset: Int, from budget: inout MemoryBudget
  ) throws(CacheError) -> (page: Int32, isPrivate: Bool) {
    try draft.rewrites.reserveCapacity(draft.rewrites.count + 1)
    try draft.releases.reserveCapacity(draft.releases.count + 2)
    if isWritable(first.page) { return (first.page, false) }
    if let second, isWritable(second.page) { return (second.page, false) }
    let page = try pool.addPrivateSet(
      forEntry: Int(first.number), epoch: pool.sets[Int(first.page)].epoch, offset: offset,
      from: &budget)
    return (page, true)
  }

  private func isWritable(_ page: Int32) -> Bool {
    let set = pool.sets[Int(page)]
    return set.referenceCount == 1 && !set.isCoded
  }

  /// The offset of a page set once the draft's rewrites are done.
  private func draftOffset(of page: Int32) -> Int {
    var index = draft.rewrites.count - 1
    while index >= 0 {
      if draft.rewrites[index].target == page { return draft.rewrites[index].offset }
      index -= 1
    }
    return pool.sets[Int(page)].offset
  }

  // MARK: Merging

  /// Merges an entry with its neighbours as long as there is one to merge with; the index follows the entry.
  private func draftMerges(
    around index: inout Int, sinkCount: Int, from budget: inout MemoryBudget
  ) throws(CacheError) {
    while true {
      if index + 1 < draft.entries.count, merges(index, sinkCount: sinkCount) {
        try draftMerge(index, from: &budget)
      } else if index > 0, merges(index - 1, sinkCount: sinkCount) {
        index -= 1
        try draftMerge(index, from: &budget)
      } else {
        return
      }
    }
  }

  /// Whether an entry and the next one become one page.
  private func merges(_ index: Int, sinkCount: Int) -> Bool {
    let (left, right) = (draft.entries[index], draft.entries[index + 1])
    return left.liveSlots + right.liveSlots <= Self.mostMergedSlots
      && left.tokens.upperBound == right.tokens.lowerBound
      && left.endPosition == right.firstPosition
      && left.tokens.lowerBound >= sinkCount
      && pool.sets[Int(left.page)].epoch == pool.sets[Int(right.page)].epoch
  }

  private func draftMerge(_ index: Int, from budget: inout MemoryBudget) throws(CacheError) {
    let (left, right) = (draft.entries[index], draft.entries[index + 1])
    let anchor = left.basePosition - draftOffset(of: left.page)
    let otherAnchor = right.basePosition - draftOffset(of: right.page)
    let offset = left.firstPosition - anchor
    let target = try draftTarget(left, right, offset: offset, from: &budget)
    draft.rewrites.append(
      PageRewrite(
        first: .init(left.page, Int(left.firstSlot)..<Int(left.endSlot), turn: 0),
        second: .init(
          right.page, Int(right.firstSlot)..<Int(right.endSlot), turn: otherAnchor - anchor),
        target: target.page, slot: 0, offset: offset, isPrivate: target.isPrivate, isMerge: true))
    if target.page != left.page { draft.releases.append(left.page) }
    if target.page != right.page { draft.releases.append(right.page) }
    draft.entries[index] = PageEntry(
      number: left.number, page: target.page, basePosition: left.firstPosition,
      firstToken: Int32(left.tokens.lowerBound), firstSlot: 0,
      endSlot: Int16(left.liveSlots + right.liveSlots), mass: left.mass + right.mass,
      latestMass: left.latestMass + right.latestMass)
    draft.entries.remove(at: index + 1)
    if index == draft.entries.count - 1 { draft.isRewound = true }
  }

  /// Moves later entries down to the hole that a removal before `token` has left, by whole leaves, if less than half of the
  /// leaves that it touched is alive.
  func renumber(after token: Int, touched: ClosedRange<Int>) {
    let leaf = SummationOrder.largestLeafEntries
    let next = draft.index(startingAt: token)
    guard next > 0, next < draft.entries.count else { return }
    let start = touched.lowerBound / leaf * leaf
    let end = min((touched.upperBound / leaf + 1) * leaf, draft.nextNumber)
    var live = 0
    for index in 0..<draft.entries.count
    where (start..<end).contains(Int(draft.entries[index].number)) {
      live += 1
    }
    guard 2 * live < end - start else { return }
    let hole = Int(draft.entries[next].number) - Int(draft.entries[next - 1].number) - 1
    let shift = hole / leaf * leaf
    guard shift > 0 else { return }
    for index in next..<draft.entries.count { draft.entries[index].number -= Int32(shift) }
    draft.nextNumber -= shift
  }

  // MARK: The end of a draft

  /// The position after the newest token, nil without any.
  var endPosition: Int? { entries.count > 0 ? entries[entries.count - 1].endPosition : nil }

  /// Whether the draft's newest token is that one.
  func draftHolds(_ token: Int) -> Bool {
    let count = draft.entries.count
    return count > 0 && draft.entries[count - 1].tokens.upperBound == token + 1
  }

  /// How many tokens before the next one the draft holds without a gap, nil if that is all there are.
  var draftReach: Int? {
    guard draft.entries.count > 0 else { return nil }
    let newest = draft.entries[draft.entries.count - 1]
    var index = draft.entries.count - 1
    while index > 0,
      draft.entries[index - 1].tokens.upperBound == draft.entries[index].tokens.lowerBound
    {
      index -= 1
    }
    let oldest = draft.entries[index]
    return oldest.tokens.lowerBound == 0 ? nil : newest.endPosition - oldest.firstPosition
  }

  /// Makes the draft the table.
  func applyDraft(
    _ rewriter: inout PageRewriter, _ statistics: inout CacheCounters,
    to budget: inout MemoryBudget
  ) {
    for index in 0..<draft.rewrites.count {
      let rewrite = draft.rewrites[index]
      rewriter.run(rewrite, in: pool)
      if rewrite.isMerge { statistics.merges += 1 } else { statistics.rewrites += 1 }
    }
    swap(&entries, &draft.entries)
    changeCount += 1
    nextNumber = draft.nextNumber
    isRewound = draft.isRewound
    for index in 0..<draft.releases.count { pool.releaseSet(draft.releases[index], to: &budget) }
    draft.removeAll()
    // Pages written anew are plain again.
    settledCount = 0
    if entries.count == 0 { (nextNumber, hasEvicted) = (0, false) }
    settleExtent(to: &budget)
  }

  /// Gives the draft up: the table is as it was.
  func dropDraft(to budget: inout MemoryBudget) {
    while draft.rewrites.count > 0 {
      let rewrite = draft.rewrites[draft.rewrites.count - 1]
      if rewrite.isPrivate { pool.releaseSet(rewrite.target, to: &budget) }
      draft.rewrites.removeLast()
    }
    draft.removeAll()
  }
}
