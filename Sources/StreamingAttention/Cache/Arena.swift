import Memory

/// The page memory of one layer on one node: one reserved region in which extents lie end to end.
///
/// Free ranges are used again first fit and joined with their neighbours. Memory is committed in groups of
/// 2 MiB before its first touch and given back when no extent lives in a group; extents may cross the
/// borders of groups.
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

  /// `byteCapacity` is a multiple of the group size.
  init(layer: Int, byteCapacity: Int, node: Int?) throws(CacheError) {
    self.layer = layer
    self.byteCapacity = byteCapacity
    do { region = try Region(reserving: byteCapacity, node: node) } catch {
      throw .refused(error)
    }
    try freeRanges.reserveCapacity(2)
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

  /// Bytes that `count` calls of `allocate` in a row would commit.
  func bytesToCommit(count: Int, byteCount: Int) -> Int {
    var (left, groupCount, counted, index) = (count, 0, -1, 0)
    while left > 0, index < freeRanges.count {
      let range = freeRanges[index]
      let taken = min(left, range.byteCount / byteCount)
      if taken > 0 {
        for group in groups(of: range.offset..<range.offset + taken * byteCount)
        where group > counted && (group >= groupUse.count || groupUse[group] == 0) {
          groupCount += 1
          counted = group
        }
      }
      left -= taken
      index += 1
    }
    return groupCount * Self.groupBytes
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
    try budget.take(Self.groupBytes)
    do {
      try region.commit(group * Self.groupBytes..<(group + 1) * Self.groupBytes)
    } catch {
      budget.giveBack(Self.groupBytes)
      throw .refused(error)
    }
  }

  /// Takes one extent out of `groups`, giving back those that have none left.
  private func release(_ groups: Range<Int>, to budget: inout MemoryBudget) {
    for group in groups {
      groupUse[group] -= 1
      if groupUse[group] == 0 {
        region.decommit(group * Self.groupBytes..<(group + 1) * Self.groupBytes)
        budget.giveBack(Self.groupBytes)
      }
    }
  }
}
