/// Thin extents: closed ones of which less than half is alive.
///
/// A step that would commit memory beyond the largest value that the formula has had, or be refused, empties some of them
/// first: their live pages are copied as they are, and sharers look addresses up by the numbers of page sets. Everything else
/// that makes extents thin copies nothing for them.
extension PagePool {
  /// Bytes of a layer that a step copies at most.
  static var mostCopiedBytes: Int { 8 << 20 }

  /// Opens an extent for a step, making room for it if need be; throws with nothing changed that a reader would notice.
  func openExtentInStep(
    firstEntry: Int, pageCount: Int, isCoded: Bool, from budget: inout MemoryBudget
  ) throws(CacheError) -> Int32 {
    let node = node(ofEntry: firstEntry)
    while budget.passesFormula(
      by: bytesToCommit(pageCount: pageCount, isCoded: isCoded, node: node)),
      emptyThinnest(&budget)
    {}
    while true {
      do throws(CacheError) {
        let opened = try openExtent(
          node: node, pageCount: pageCount, isCoded: isCoded, from: &budget)
        // The step may yet be undone, page by page.
        extents[Int(opened)].sparedIn = thinningRound
        return opened
      } catch {
        guard emptyThinnest(&budget) else { throw error }
      }
    }
  }

  /// Forgets which extents were spared and what was copied in the step before.
  func beginThinning() {
    thinningRound += 1
    hasSpared = false
    copiedSets = 0
  }

  /// Bytes that an extent would have committed.
  func bytesToCommit(pageCount: Int, isCoded: Bool, node: Int) -> Int {
    var bytes = 0
    for layer in headCounts.indices {
      bytes += arenas[layer][node].bytesToCommit(
        count: headCounts[layer], byteCount: pageCount * pageBytes(layer: layer, isCoded: isCoded))
    }
    return bytes
  }

  /// Whether a closed extent is less than half alive.
  func isThin(_ extent: Extent) -> Bool {
    extent.livePages > 0 && !extent.isOpen && 2 * extent.livePages < extent.pageCount
  }

  /// Page sets that the step may still copy, as if none held codes.
  private var copiesLeft: Int {
    var largest = 1
    for layer in headCounts.indices {
      largest = max(largest, layouts[layer].pageBytes * headCounts[layer])
    }
    return Self.mostCopiedBytes / largest - copiedSets
  }

  /// Empties the thinnest extent that is not spared; false if there is none, or the step has copied enough.
  private func emptyThinnest(_ budget: inout MemoryBudget) -> Bool {
    let copiesLeft = copiesLeft
    guard copiesLeft > 0 else { return false }
    var thinnest = -1
    for number in 0..<extents.count where isThin(extents[number]) {
      if !hasSpared { spareOldest() }
      let extent = extents[number]
      guard extent.sparedIn != thinningRound else { continue }
      if thinnest < 0
        || extent.livePages * extents[thinnest].pageCount
          < extents[thinnest].livePages * extent.pageCount
      {
        thinnest = number
      }
    }
    guard thinnest >= 0 else { return false }
    let sets = liveSets(in: thinnest)
    let count = min(Int(extents[thinnest].livePages), copiesLeft)
    let (node, isCoded) = (Int(extents[thinnest].node), extents[thinnest].isCoded)
    if bytesToCommit(pageCount: count, isCoded: isCoded, node: node) == 0,
      let target = try? openExtent(
        node: node, pageCount: count, isCoded: isCoded, from: &budget)
    {
      move(sets, count: count, from: thinnest, to: Int(target), &budget)
    } else if count == extents[thinnest].livePages {
      gather(sets, in: thinnest, &budget)
    } else {
      return false
    }
    copiedSets += count
    movedSets += count
    return true
  }

  /// The live page sets of an extent by their places; −1 for none.
  private func liveSets(in extent: Int) -> InlineArray<32, Int32> {
    var found = InlineArray<32, Int32>(repeating: -1)
    var number = extents[extent].firstSet
    while number >= 0 {
      found[Int(sets[Int(number)].indexInExtent)] = number
      number = sets[Int(number)].nextInExtent
    }
    return found
  }

  /// Copies the first `count` live page sets of an extent into another that has just been opened for them.
  private func move(
    _ live: InlineArray<32, Int32>, count: Int, from extent: Int, to target: Int,
    _ budget: inout MemoryBudget
  ) {
    let isCoded = extents[extent].isCoded
    var moved = 0
    for place in 0..<32 where live[place] >= 0 && moved < count {
      let set = Int(live[place])
      forEachColumn { column, layer, _ in
        let address = unsafe address(
          extent: Int32(target), column: column, layer: layer, index: moved)
        // SAFETY: both pages are committed, `pageBytes` long and lie in extents of their own.
        if let source = unsafe addresses[column, set] {
          unsafe address.copyMemory(
            from: source, byteCount: pageBytes(layer: layer, isCoded: isCoded))
        }
        unsafe addresses[column, set] = address
      }
      unlist(live[place])
      sets[set].extent = Int32(target)
      sets[set].indexInExtent = Int32(moved)
      list(live[place])
      moved += 1
    }
    extents[target].usedPages = Int32(count)
    extents[target].livePages = Int32(count)
    extents[target].isOpen = false
    extents[extent].livePages -= Int32(count)
    if extents[extent].livePages == 0 { emptiedExtents += 1 }
    freeIfDead(Int32(extent), to: &budget)
  }

  /// Moves the live page sets of an extent to its front, where no committed memory is free for them, and gives the rest back.
  private func gather(
    _ live: InlineArray<32, Int32>, in extent: Int, _ budget: inout MemoryBudget
  ) {
    let count = Int(extents[extent].livePages)
    let pageCount = Int(extents[extent].pageCount)
    for layer in headCounts.indices {
      let pageBytes = pageBytes(layer: layer, isCoded: extents[extent].isCoded)
      let first = extent * columnCount + firstColumns[layer]
      // Heads whose runs follow one another, as a rule all, are gathered together: what is left is one free range.
      var head = 0
      while head < headCounts[layer] {
        let start = extentOffsets[first + head]
        var end = head + 1
        while end < headCounts[layer],
          extentOffsets[first + end] == start + (end - head) * pageCount * pageBytes
        { end += 1 }
        for member in head..<end {
          extentOffsets[first + member] = start + (member - head) * count * pageBytes
          var place = 0
          for index in 0..<32 where live[index] >= 0 {
            let (column, set) = (firstColumns[layer] + member, Int(live[index]))
            let address = unsafe address(
              extent: Int32(extent), column: column, layer: layer, index: place)
            // SAFETY: pages move towards the front in the order in which they lie, so none is overwritten before its turn; two
            // pages are the same or apart.
            if let source = unsafe addresses[column, set], unsafe source != address {
              unsafe address.copyMemory(from: source, byteCount: pageBytes)
            }
            unsafe addresses[column, set] = address
            place += 1
          }
        }
        arenas[layer][Int(extents[extent].node)].shrink(
          start, count: end - head, from: pageCount * pageBytes, to: count * pageBytes,
          budget: &budget)
        head = end
      }
    }
    var place: Int32 = 0
    for index in 0..<32 where live[index] >= 0 {
      sets[Int(live[index])].indexInExtent = place
      place += 1
    }
    extents[extent].pageCount = place
    extents[extent].usedPages = place
    emptiedExtents += 1
  }

  // MARK: What is spared

  /// Marks the extents that are not to be emptied in this step: the newest of its sequences, to which it may go back, and the oldest
  /// of tables with a window and of sequences that evict, which empty themselves.
  private func spareOldest() {
    hasSpared = true
    guard let owner else { return }
    for state in owner.stepSequences {
      let held = state.tables[number].heldExtent
      if held != PageTable.noExtent { extents[Int(held)].sparedIn = thinningRound }
    }
    for state in owner.sequences {
      guard let state, retention != .everything || state.isEvicting else { continue }
      let table = state.tables[number]
      guard table.entries.count > 0 else { continue }
      spareExtent(of: table.entries[0])
      // Behind what stays for good.
      var index = 0
      while index < table.entries.count,
        table.entries[index].tokens.lowerBound < state.sinkCount
          || state.pins.overlap(table.entries[index].tokens)
      { index += 1 }
      if index < table.entries.count { spareExtent(of: table.entries[index]) }
    }
  }

  private func spareExtent(of entry: PageEntry) {
    extents[Int(sets[Int(entry.page)].extent)].sparedIn = thinningRound
  }
}
