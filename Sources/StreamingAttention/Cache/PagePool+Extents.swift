extension PagePool {
  /// The node of an entry's pages: striped by the largest leaf, so that every leaf, of whatever size, lies on one node.
  func node(ofEntry number: Int) -> Int {
    number / SummationOrder.largestLeafEntries % nodeCount
  }

  /// Takes and commits an extent for every layer and KV head; throws with nothing changed.
  func openExtent(
    node: Int, pageCount: Int, isCoded: Bool, from budget: inout MemoryBudget
  ) throws(CacheError) -> Int32 {
    try extentNumbers.prepare()
    try extents.reserveCapacity(extentNumbers.count + 1)
    try extentOffsets.reserveCapacity((extentNumbers.count + 1) * columnCount)
    let number = extentNumbers.take()
    extents.resize(to: max(extents.count, extentNumbers.count), filler: .unused)
    extentOffsets.resize(to: extents.count * columnCount, filler: 0)
    extents[Int(number)] = Extent(
      pageCount: Int32(pageCount), usedPages: 0, livePages: 0, node: Int32(node), isOpen: true,
      isCoded: isCoded)
    var taken = 0
    do throws(CacheError) {
      try forEachColumn { (column, layer, _) throws(CacheError) in
        extentOffsets[Int(number) * columnCount + column] =
          try arenas[layer][node].allocate(
            pageCount * pageBytes(layer: layer, isCoded: isCoded), from: &budget)
        taken += 1
      }
    } catch {
      freeColumns(of: number, count: taken, to: &budget)
      extents[Int(number)] = .unused
      extentNumbers.giveBack(number)
      guard case .outOfMemory(let needed, let allowed) = error else { throw error }
      // The first layer that found no room names its own group; the extent needs one in those after it too.
      let whole =
        budget.committed + bytesToCommit(pageCount: pageCount, isCoded: isCoded, node: node)
      throw .outOfMemory(needed: max(needed, whole), allowed: allowed)
    }
    return number
  }

  /// Gives up the latest `openExtent`, whose pages have been given up before.
  func undoOpenExtent(_ number: Int32, to budget: inout MemoryBudget) {
    freeColumns(of: number, count: columnCount, to: &budget)
    extents[Int(number)] = .unused
    extentNumbers.giveBack(number)
  }

  /// Its sequence takes no more pages from it.
  func closeExtent(_ number: Int32, to budget: inout MemoryBudget) {
    extents[Int(number)].isOpen = false
    freeIfDead(number, to: &budget)
  }

  /// Frees a closed extent without a live page; one that has been freed already stays so.
  func freeIfDead(_ number: Int32, to budget: inout MemoryBudget) {
    let extent = extents[Int(number)]
    guard extent.livePages == 0, !extent.isOpen, extent.pageCount > 0 else { return }
    freeColumns(of: number, count: columnCount, to: &budget)
    extents[Int(number)] = .unused
    extentNumbers.giveBack(number)
  }

  /// Frees the runs of the first `count` columns.
  private func freeColumns(of number: Int32, count: Int, to budget: inout MemoryBudget) {
    let extent = extents[Int(number)]
    forEachColumn { column, layer, _ in
      guard column < count else { return }
      arenas[layer][Int(extent.node)].free(
        extentOffsets[Int(number) * columnCount + column],
        byteCount: Int(extent.pageCount) * pageBytes(layer: layer, isCoded: extent.isCoded),
        to: &budget)
    }
  }
}
