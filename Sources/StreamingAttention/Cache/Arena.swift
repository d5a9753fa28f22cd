import Memory

/// The page memory of one layer on one node: one reserved region in which extents lie end to end.
///
/// Free ranges are used again first fit and joined with their neighbours. Memory is committed in groups of
/// 2 MiB before its first touch and given back when no extent lives in a group; extents may cross the
/// borders of groups. Some may be committed ahead of need (`prepare`).
final class Arena {
  static let groupBytes = 2 << 20

  struct FreeRange {
    var offset: Int
    var byteCount: Int
  }

  let layer: Int
  let byteCapacity: Int
  private let region: Region
  /// Sorted by offset, never adjacent.
  private(set) var freeRanges = GrowingTable<FreeRange>()
  /// Extents that live in each group; 0 means not committed.
  private(set) var groupUse = GrowingTable<UInt32>()
  private(set) var rangeCount = 0
  /// Groups that are committed ahead of need: nothing lives in them.
  private(set) var aheadGroups = GrowingTable<Int>()
  /// What `prepare` wants, kept for its room.
  private var wantedGroups = GrowingTable<Int>()

  /// `byteCapacity` is a multiple of the group size.
  init(layer: Int, byteCapacity: Int, node: Int?) throws(CacheError) {
    self.layer = layer
    self.byteCapacity = byteCapacity
    do { region = try Region(reserving: byteCapacity, node: node) } catch {
      throw .refused(error)
    }
    try freeRanges.reserveCapacity(2)
    // What steps commit ahead, as a rule without growing these.
    try aheadGroups.reserveCapacity(16)
    try wantedGroups.reserveCapacity(16)
    freeRanges.append(FreeRange(offset: 0, byteCount: byteCapacity))
  }

  var committedBytes: Int {
    var groups = 0
    for index in 0..<groupUse.count where groupUse[index] > 0 { groups += 1 }
    return groups * Self.groupBytes
  }

  func address(ofOffset offset: Int) -> UnsafeMutableRawPointer { unsafe region.base + offset }

  func offset(of address: UnsafeMutableRawPointer) -> Int { unsafe address - region.base }

  /// Takes `byteCount` bytes in a row and commits them; throws with nothing changed.
  func allocate(_ byteCount: Int, from budget: inout MemoryBudget) throws(CacheError) -> Int {
    // Every live range may one day have a free neighbour on both sides, and freeing must not fail.
    try freeRanges.reserveCapacity(rangeCount + 3)
    var index = 0
    while index < freeRanges.count, freeRanges[index].byteCount < byteCount { index += 1 }
    guard index < freeRanges.count else {
      throw .outOfAddressSpace(layer: layer, needed: byteCount)
    }
    let range = freeRanges[index]
    try commit(groups(of: range.offset..<range.offset + byteCount), from: &budget)
    if range.byteCount == byteCount {
      freeRanges.remove(at: index)
    } else {
      freeRanges[index] = FreeRange(
        offset: range.offset + byteCount, byteCount: range.byteCount - byteCount)
    }
    rangeCount += 1
    return range.offset
  }

  /// Frees what `allocate` gave; cannot fail.
  func free(_ offset: Int, byteCount: Int, to budget: inout MemoryBudget) {
    insertFree(offset, byteCount: byteCount)
    rangeCount -= 1
    release(groups(of: offset..<offset + byteCount), to: &budget)
  }

  /// Bytes that `count` calls of `allocate` in a row would take into use, committed ahead or not.
  func bytesToCommit(count: Int, byteCount: Int) -> Int {
    var groupCount = 0
    forEachUncommittedGroup(count: count, byteCount: byteCount) { _ in groupCount += 1 }
    return groupCount * Self.groupBytes
  }

  /// Calls `body` with the groups that `count` calls of `allocate` in a row would take into use, ascending.
  private func forEachUncommittedGroup(count: Int, byteCount: Int, _ body: (Int) -> Void) {
    var (left, counted, index) = (count, -1, 0)
    while left > 0, index < freeRanges.count {
      let range = freeRanges[index]
      let taken = min(left, range.byteCount / byteCount)
      if taken > 0 {
        for group in groups(of: range.offset..<range.offset + taken * byteCount)
        where group > counted && (group >= groupUse.count || groupUse[group] == 0) {
          body(group)
          counted = group
        }
      }
      left -= taken
      index += 1
    }
  }

  /// Makes `count` ranges of one size that follow one another smaller, so that they still do; cannot fail.
  func shrink(
    _ offset: Int, count: Int, from byteCount: Int, to newByteCount: Int,
    budget: inout MemoryBudget
  ) {
    for index in 0..<count {
      let start = offset + index * newByteCount
      // They were committed as parts of the old ranges, whose groups are given up afterwards.
      for group in groups(of: start..<start + newByteCount) { groupUse[group] += 1 }
    }
    for index in 0..<count {
      let start = offset + index * byteCount
      release(groups(of: start..<start + byteCount), to: &budget)
    }
    insertFree(offset + count * newByteCount, byteCount: count * (byteCount - newByteCount))
  }

  private func insertFree(_ offset: Int, byteCount: Int) {
    var low = 0
    var high = freeRanges.count
    while low < high {
      let middle = (low + high) / 2
      if freeRanges[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    var joined = FreeRange(offset: offset, byteCount: byteCount)
    if low < freeRanges.count, freeRanges[low].offset == offset + byteCount {
      joined.byteCount += freeRanges[low].byteCount
      freeRanges.remove(at: low)
    }
    if low > 0, freeRanges[low - 1].offset + freeRanges[low - 1].byteCount == offset {
      freeRanges[low - 1].byteCount += joined.byteCount
    } else {
      freeRanges.insert(joined, at: low)
    }
  }

  func groups(of range: Range<Int>) -> Range<Int> {
    range.lowerBound / Self.groupBytes..<(range.upperBound + Self.groupBytes - 1) / Self.groupBytes
  }

  /// Counts one extent into `groups`, committing those that had none.
  private func commit(
    _ groups: Range<Int>, from budget: inout MemoryBudget
  ) throws(CacheError) {
    if groups.upperBound > groupUse.count {
      try groupUse.reserveCapacity(groups.upperBound)
      groupUse.resize(to: groups.upperBound, filler: 0)
    }
    for group in groups {
      if groupUse[group] == 0 {
        do {
          try commitGroup(group, from: &budget)
        } catch {
          release(groups.lowerBound..<group, to: &budget)
          throw error
        }
      }
      groupUse[group] += 1
    }
  }

  private func commitGroup(
    _ group: Int, from budget: inout MemoryBudget
  ) throws(CacheError) {
    for index in 0..<aheadGroups.count where aheadGroups[index] == group {
      aheadGroups.remove(at: index)
      budget.useAhead(Self.groupBytes)
      return
    }
    try budget.take(Self.groupBytes)
    do {
      try region.commit(bytes(of: group))
    } catch {
      budget.giveBack(Self.groupBytes)
      throw .refused(error)
    }
  }

  // MARK: Ahead of need

  /// Commits the groups that `count` calls of `allocate` in a row would commit, and brings their memory in; others that were committed
  /// ahead are given back.
  ///
  /// Less where memory is short.
  func prepare(_ count: Int, runsOf byteCount: Int, _ budget: inout MemoryBudget) {
    wantedGroups.removeSubrange(0..<wantedGroups.count)
    forEachUncommittedGroup(count: count, byteCount: byteCount) { group in
      guard (try? wantedGroups.reserveCapacity(wantedGroups.count + 1)) != nil else { return }
      wantedGroups.append(group)
    }
    var index = aheadGroups.count - 1
    while index >= 0 {
      let group = aheadGroups[index]
      if !(0..<wantedGroups.count).contains(where: { wantedGroups[$0] == group }) {
        decommit(group)
        aheadGroups.remove(at: index)
        budget.giveBackAhead(Self.groupBytes)
      }
      index -= 1
    }
    for index in 0..<wantedGroups.count {
      let group = wantedGroups[index]
      if (0..<aheadGroups.count).contains(where: { aheadGroups[$0] == group }) { continue }
      guard budget.allowsAhead(Self.groupBytes),
        (try? aheadGroups.reserveCapacity(aheadGroups.count + 1)) != nil,
        (try? region.commit(bytes(of: group))) != nil
      else { return }
      // SAFETY: the group has just been committed, and nobody has an address in it.
      unsafe Region.populate(
        UnsafeRawBufferPointer(
          start: region.base + group * Self.groupBytes, count: Self.groupBytes))
      aheadGroups.append(group)
      budget.takeAhead(Self.groupBytes)
    }
  }

  /// Gives the latest group that was committed ahead back to the system; false without one.
  func giveBackLastAhead() -> Bool {
    guard aheadGroups.count > 0 else { return false }
    decommit(aheadGroups[aheadGroups.count - 1])
    aheadGroups.removeLast()
    return true
  }

  private func decommit(_ group: Int) { region.decommit(bytes(of: group)) }

  private func bytes(of group: Int) -> Range<Int> {
    group * Self.groupBytes..<(group + 1) * Self.groupBytes
  }

  /// Takes one extent out of `groups`, giving back those that have none left.
  private func release(_ groups: Range<Int>, to budget: inout MemoryBudget) {
    for group in groups {
      groupUse[group] -= 1
      if groupUse[group] == 0 {
        decommit(group)
        budget.giveBack(Self.groupBytes)
      }
    }
  }
}
