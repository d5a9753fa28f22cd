import KernelTable

/// A page set that the commit of a step in progress turns into codes.
struct PendingCode: BitwiseCopyable {
  /// Index of the entry that names it.
  var entry: Int
  /// The set that takes the codes.
  var target: Int32
}

/// Quantising, and the way back.
///
/// A step writes plain pages only. Its commit turns those that are no longer among the newest into codes: page sets of their
/// own, which its reservation has taken. Sets in codes are never written again.
extension PageTable {
  /// Entries at the end that stay plain: the newest page may be full, and no step finds less than a page of plain tokens.
  static let plainEntries = 2

  /// Takes page sets for the codes of the entries that the step's commit quantises; its last token will be the one before
  /// `end`.
  func reserveCodes(end: Int, from budget: inout MemoryBudget) throws(CacheError) {
    guard pool.isQuantized else { return }
    var index = settledCount
    while index < entries.count - Self.plainEntries,
      entries[index].tokens.upperBound <= end - pool.precision.last
    {
      let entry = entries[index]
      let set = pool.sets[Int(entry.page)]
      if !set.isCoded, !set.isUncodable, entry.tokens.lowerBound >= pool.precision.first {
        try codes.reserveCapacity(codes.count + 1)
        let target = try takePage(
          forEntry: Int(entry.number), epoch: set.epoch, offset: set.offset, isCoded: true,
          from: &budget)
        codes.append(PendingCode(entry: index, target: target))
      }
      index += 1
    }
    mark.settledCount = max(index, settledCount)
  }

  /// Gives up what `reserveCodes` took, latest first.
  func undoCodes(to budget: inout MemoryBudget) {
    while codes.count > 0 {
      giveUpPage(codes[codes.count - 1].target, to: &budget)
      codes.removeLast()
    }
  }

  /// Lets entries name the codes that have been written; one whose numbers have none keeps its plain page.
  func commitCodes(to budget: inout MemoryBudget) {
    if codes.count > 0 { changeCount += 1 }
    for index in 0..<codes.count {
      let code = codes[index]
      let plain = entries[code.entry].page
      if isUsable(code.target) {
        pool.sets[Int(code.target)].rewrites = pool.sets[Int(plain)].rewrites
        entries[code.entry].page = code.target
        pool.releaseSet(plain, to: &budget)
      } else {
        pool.sets[Int(plain)].isUncodable = true
        pool.releaseSet(code.target, to: &budget)
      }
    }
    codes.removeSubrange(0..<codes.count)
    if pool.isQuantized { settledCount = mark.settledCount }
  }

  private func isUsable(_ page: Int32) -> Bool {
    for column in 0..<pool.columnCount {
      let errors = pool.errors[column, Int(page)]
      if !(errors.key < .infinity && errors.value < .infinity) { return false }
    }
    return true
  }

  /// Takes a plain page set for the newest entry, whose own is in codes and stays as it is until the step ends.
  func widenNewest(from budget: inout MemoryBudget) throws(CacheError) {
    let newest = entries[entries.count - 1]
    let set = pool.sets[Int(newest.page)]
    let page = try pool.addPrivateSet(
      forEntry: Int(newest.number), epoch: set.epoch, offset: set.offset, isInStep: true,
      from: &budget)
    pool.sets[Int(page)].rewrites = set.rewrites
    entries[entries.count - 1].page = page
    mark.codedPage = newest.page
    changeCount += 1
    settledCount = min(settledCount, entries.count - 1)
  }

  /// The set in codes that the step widens, and the plain one that it goes to.
  var widening: (source: Int32, target: Int32)? {
    guard mark.codedPage != Self.noPage else { return nil }
    return (mark.codedPage, entries[mark.entryCount - 1].page)
  }

  /// Whether the step quantises or widens pages.
  var changesForm: Bool { codes.count > 0 || mark.codedPage != Self.noPage }

  /// Calls `body` with the page sets that the step in progress holds beside those of entries.
  func forEachHeldSet(_ body: (Int) -> Void) {
    for index in 0..<codes.count { body(Int(codes[index].target)) }
    if mark.codedPage != Self.noPage { body(Int(mark.codedPage)) }
  }
}
