extension KVCache {
  /// What is wrong with the cache's own books: empty unless there is a bug.
  ///
  /// Tests call it after every mutation; it recounts everything from the page tables. O(pages) with sorting.
  package func checkInvariants() -> [String] {
    var defects: [String] = []
    for (number, pool) in pools.enumerated() {
      let tables = sequences.compactMap { $0?.tables[number] }
      for table in tables { defects += table.defects() }
      defects += pool.defects(tables: tables)
    }
    let committed = pools.reduce(0) { sum, pool in
      sum + pool.arenas.joined().reduce(0) { $0 + $1.committedBytes }
    }
    if committed != byteCount { defects.append("committed \(committed), counted \(byteCount)") }
    let ahead = pools.reduce(0) { sum, pool in
      sum + pool.arenas.joined().reduce(0) { $0 + $1.aheadGroups.count * Arena.groupBytes }
    }
    if ahead != aheadByteCount { defects.append("ahead \(ahead), counted \(aheadByteCount)") }
    if formulaBytes > committed { defects.append("live pages exceed the committed memory") }
    if committed + ahead > memoryLimit {
      defects.append("committed \(committed) and \(ahead) ahead of \(memoryLimit)")
    }
    for state in sequences.compactMap({ $0 }) {
      let end = state.nextPosition + state.reservedTokens
      for table in state.tables {
        guard let last = table.lastEntry else {
          if state.length + state.reservedTokens > 0 { defects.append("\(state.id): no entries") }
          continue
        }
        if last.endPosition != end {
          defects.append("\(state.id): ends at \(last.endPosition), should at \(end)")
        }
      }
      for table in state.tables {
        defects += table.missing(length: state.length + state.reservedTokens).map {
          "\(state.id): \($0)"
        }
      }
    }
    return defects
  }
}

extension PageTable {
  fileprivate var lastEntry: PageEntry? {
    entries.count > 0 ? entries[entries.count - 1] : nil
  }

  /// Tokens that should be live and are not, which is none where everything is kept.
  fileprivate func missing(length: Int) -> [String] {
    var defects: [String] = []
    var token = 0
    for index in 0..<entries.count {
      let tokens = entries[index].tokens
      if tokens.lowerBound < token { defects.append("tokens \(tokens) after \(token)") }
      if tokens.lowerBound > token, pool.retention == .everything, !hasEvicted {
        defects.append("tokens \(token)..<\(tokens.lowerBound) are missing")
      }
      token = tokens.upperBound
    }
    if token != length { defects.append("tokens end at \(token) of \(length)") }
    return defects
  }

  /// Entries in order, live ranges inside their pages, positions ascending.
  fileprivate func defects() -> [String] {
    var defects: [String] = []
    for index in 0..<entries.count {
      let entry = entries[index]
      if entry.firstSlot < 0 || entry.firstSlot >= entry.endSlot || entry.endSlot > 64 {
        defects.append("entry \(entry.number): slots \(entry.firstSlot)..<\(entry.endSlot)")
      }
      if entry.firstPosition < 0 { defects.append("entry \(entry.number): \(entry.basePosition)") }
      guard index > 0 else { continue }
      let previous = entries[index - 1]
      if previous.number >= entry.number || previous.endPosition > entry.firstPosition {
        defects.append("entries \(previous.number) and \(entry.number) out of order")
      }
    }
    return defects
  }
}

extension PagePool {
  fileprivate func defects(tables: [PageTable]) -> [String] {
    var defects: [String] = []
    var references = [Int32](repeating: 0, count: setNumbers.count)
    for table in tables {
      for index in 0..<table.entries.count { references[Int(table.entries[index].page)] += 1 }
      table.forEachHeldSet { references[$0] += 1 }
    }
    var isFree = [Bool](repeating: false, count: setNumbers.count)
    for index in 0..<setNumbers.free.count { isFree[Int(setNumbers.free[index])] = true }
    var live = [Int32](repeating: 0, count: extentNumbers.count)
    var coded = 0
    for number in 0..<setNumbers.count {
      if isFree[number] != (references[number] == 0) {
        defects.append(
          "page set \(number): \(references[number]) references, free \(isFree[number])")
      }
      guard references[number] > 0 else { continue }
      let set = sets[number]
      if set.referenceCount != references[number] {
        defects.append("page set \(number): counts \(set.referenceCount) of \(references[number])")
      }
      if set.indexInExtent >= extents[Int(set.extent)].usedPages {
        defects.append("page set \(number): beyond its extent's pages in use")
      }
      if set.isCoded != extents[Int(set.extent)].isCoded {
        defects.append("page set \(number): in an extent of the other kind")
      }
      if set.isCoded { coded += 1 }
      live[Int(set.extent)] += 1
      forEachColumn { column, layer, _ in
        let expected = unsafe address(
          extent: set.extent, column: column, layer: layer, index: Int(set.indexInExtent))
        if unsafe addresses[column, number] != expected {
          defects.append("page set \(number): wrong address in column \(column)")
        }
      }
    }
    for layer in headCounts.indices {
      for node in 0..<nodeCount {
        let due = tables.reduce(0) {
          $0 + ($1.ahead.node == node ? dueBytes(of: $1.ahead, layer: layer) : 0)
        }
        if due != dueBytes[layer][node] {
          defects.append("layer \(layer): \(dueBytes[layer][node]) bytes due ahead, not \(due)")
        }
      }
    }
    if coded != codedCount { defects.append("\(codedCount) sets in codes counted, not \(coded)") }
    defects += extentDefects(live: live, tables: tables)
    return defects
  }

  private func extentDefects(
    live: [Int32], tables: [PageTable]
  ) -> [String] {
    var defects: [String] = []
    var isFree = [Bool](repeating: false, count: extentNumbers.count)
    for index in 0..<extentNumbers.free.count { isFree[Int(extentNumbers.free[index])] = true }
    let open = Set(tables.map(\.extent))
    let held = Set(tables.map(\.heldExtent))
    var ranges = arenas.map { $0.map { _ in [Range<Int>]() } }
    for number in 0..<extentNumbers.count where !isFree[number] {
      let extent = extents[number]
      if extent.livePages != live[number] || extent.livePages > extent.usedPages
        || extent.usedPages > extent.pageCount
      {
        defects.append("extent \(number): \(extent), live \(live[number])")
      }
      var (listed, count, previous) = (extent.firstSet, Int32(0), Int32(-1))
      while listed >= 0, count < live[number] {
        let set = sets[Int(listed)]
        if set.referenceCount == 0 || Int(set.extent) != number || set.previousInExtent != previous
        {
          defects.append("extent \(number): lists page set \(listed), \(set)")
        }
        (listed, count, previous) = (set.nextInExtent, count + 1, listed)
      }
      if listed >= 0 || count != live[number] {
        defects.append("extent \(number): lists another number of page sets than \(live[number])")
      }
      if extent.isOpen != open.contains(Int32(number)) {
        defects.append("extent \(number): open \(extent.isOpen)")
      }
      if extent.livePages == 0, !extent.isOpen, !held.contains(Int32(number)) {
        defects.append("extent \(number): dead and not freed")
      }
      forEachColumn { column, layer, _ in
        let start = extentOffsets[number * columnCount + column]
        ranges[layer][Int(extent.node)].append(
          start..<start + Int(extent.pageCount)
            * pageBytes(layer: layer, isCoded: extent.isCoded))
      }
    }
    for (layer, nodes) in ranges.enumerated() {
      for (node, ranges) in nodes.enumerated() {
        defects += arenas[layer][node].defects(ranges: ranges)
      }
    }
    return defects
  }
}

extension Arena {
  /// Live and free ranges tile the region, free ones never touch, and groups count what lives in them.
  fileprivate func defects(ranges: [Range<Int>]) -> [String] {
    var defects: [String] = []
    if ranges.count != rangeCount { defects.append("layer \(layer): \(rangeCount) ranges counted") }
    var tiles = ranges.map { (range: $0, isFree: false) }
    for index in 0..<freeRanges.count {
      let free = freeRanges[index]
      tiles.append((free.offset..<free.offset + free.byteCount, true))
    }
    tiles.sort { $0.range.lowerBound < $1.range.lowerBound }
    var end = 0
    var previousIsFree = false
    for tile in tiles {
      if tile.range.lowerBound != end || (tile.isFree && previousIsFree) {
        defects.append("layer \(layer): \(tile.range) follows \(end), free \(previousIsFree)")
      }
      (end, previousIsFree) = (tile.range.upperBound, tile.isFree)
    }
    if end != byteCapacity { defects.append("layer \(layer): ranges end at \(end)") }
    var use = [UInt32](repeating: 0, count: groupUse.count)
    for range in ranges { for group in groups(of: range) { use[group] += 1 } }
    for index in 0..<aheadGroups.count {
      let group = aheadGroups[index]
      if group < use.count, use[group] > 0 {
        defects.append("layer \(layer): \(group) ahead and in use")
      }
    }
    for group in use.indices where use[group] != groupUse[group] {
      defects.append("layer \(layer): group \(group) counts \(groupUse[group]) of \(use[group])")
    }
    return defects
  }
}
