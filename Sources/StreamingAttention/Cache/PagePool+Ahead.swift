/// What a table has committed ahead of need: a part of the extent that it will take next.
struct AheadShare: BitwiseCopyable {
  var node = 0
  /// Pages of that extent, and whether they are for codes.
  var pageCount = 0
  var isCoded = false
  /// The part, over all layers in their order.
  var byteCount = 0

  static let none = AheadShare()
}

/// Memory ahead of need: while a sequence's newest extent fills up, as much is committed for the next one, and brought in.
///
/// So the step that goes on to it commits nothing. What is committed ahead and what is free in the newest extents is together
/// at most one extent for each sequence. No address is taken: the memory lies where the next extents would.
extension PagePool {
  /// Bytes of a layer in a share: layers come one after the other, so that few of them commit in the same step.
  func dueBytes(of share: AheadShare, layer: Int) -> Int {
    var left = share.byteCount
    for earlier in 0..<layer { left -= layerBytes(of: share, layer: earlier) }
    return max(min(left, layerBytes(of: share, layer: layer)), 0)
  }

  /// Changes what a table has committed ahead; less than that where memory is short, for it is asked for again when it is needed.
  func changeAhead(from old: AheadShare, to new: AheadShare, _ budget: inout MemoryBudget) {
    var (oldLeft, newLeft) = (old.byteCount, new.byteCount)
    for layer in headCounts.indices {
      let (oldSize, newSize) = (
        layerBytes(of: old, layer: layer), layerBytes(of: new, layer: layer)
      )
      let oldDue = max(min(oldLeft, oldSize), 0)
      let newDue = max(min(newLeft, newSize), 0)
      oldLeft -= oldSize
      newLeft -= newSize
      let run = (newSize > 0 ? newSize : oldSize) / headCounts[layer]
      if old.node == new.node {
        changeDue(layer, old.node, by: newDue - oldDue, run: run, &budget)
      } else {
        changeDue(layer, old.node, by: -oldDue, run: run, &budget)
        changeDue(layer, new.node, by: newDue, run: run, &budget)
      }
    }
  }

  private func changeDue(
    _ layer: Int, _ node: Int, by byteCount: Int, run: Int, _ budget: inout MemoryBudget
  ) {
    guard byteCount != 0 else { return }
    let before = dueBytes[layer][node]
    dueBytes[layer][node] += byteCount
    // Another run may have been that of what lies ahead: what is no longer due goes in any case.
    guard byteCount < 0 || before / run != dueBytes[layer][node] / run else { return }
    arenas[layer][node].prepare(dueBytes[layer][node] / run, runsOf: run, &budget)
  }

  private func layerBytes(of share: AheadShare, layer: Int) -> Int {
    share.pageCount * pageBytes(layer: layer, isCoded: share.isCoded) * headCounts[layer]
  }
}

extension PageTable {
  /// Commits as much for the next extent as the newest one has filled of itself.
  func commitAhead(_ budget: inout MemoryBudget) {
    guard extent != Self.noExtent, entries.count > 0 else { return }
    let newest = pool.extents[Int(extent)]
    let pageCount = followingPageCount
    let setBytes = newest.isCoded ? pool.codedSetBytes : pool.setBytes
    // Where pages are quantised, tokens fill a plain page, and after it one in codes.
    let filled =
      Int(newest.usedPages - 1) * PageLayout.slots + Int(entries[entries.count - 1].endSlot)
    changeAhead(
      to: AheadShare(
        node: pool.node(ofEntry: extentStart + Int(newest.pageCount)), pageCount: pageCount,
        isCoded: newest.isCoded,
        byteCount: pageCount * setBytes * filled / (Int(newest.pageCount) * PageLayout.slots)),
      &budget)
  }

  /// Pages of the extent that will follow the newest one.
  var followingPageCount: Int {
    let newest = pool.extents[Int(extent)]
    return ExtentRule.pageCount(
      firstEntry: extentStart + Int(newest.pageCount),
      pagesWritten: pagesWritten + Int(newest.pageCount - newest.usedPages),
      largest: pool.largestExtent)
  }

  func changeAhead(to share: AheadShare, _ budget: inout MemoryBudget) {
    pool.changeAhead(from: ahead, to: share, &budget)
    ahead = share
  }
}
