import KernelTable

/// Everything of a cache that an operation which was refused must leave as it was, for tests.
package struct CacheFingerprint: Equatable {
  /// A hash of books, tables, bounds and, if asked for, the bytes of every page that a sequence names.
  package var contents: Int
  package var byteCount: Int
  package var formulaBytes: Int
  package var sequenceCount: Int
  package var statistics: CacheStatistics

  /// Thin extents that a step has emptied stay emptied when it is given up: the pages that it has moved count as unchanged, and
  /// so does what this has given back.
  package static func == (left: CacheFingerprint, right: CacheFingerprint) -> Bool {
    guard left.contents == right.contents, left.formulaBytes == right.formulaBytes,
      left.sequenceCount == right.sequenceCount
    else { return false }
    if left.statistics.movedPageSets == right.statistics.movedPageSets {
      return left.byteCount == right.byteCount && left.statistics == right.statistics
    }
    var statistics = left.statistics
    statistics.extents = right.statistics.extents
    statistics.thinExtents = right.statistics.thinExtents
    statistics.emptiedExtents = right.statistics.emptiedExtents
    statistics.movedPageSets = right.statistics.movedPageSets
    return statistics == right.statistics
  }
}

extension KVCache {
  /// What the cache holds now, in this process; pages cost as much as reading them.
  package func fingerprint(includingPages: Bool) -> CacheFingerprint {
    var hasher = Hasher()
    for case let state? in sequences {
      hasher.combine(state.length)
      hasher.combine(state.nextPosition)
      for pin in 0..<state.pins.rangeCount { hasher.combine(state.pins[pin]) }
      for (layer, shape) in layers.enumerated() {
        let table = state.tables[table(ofLayer: layer)]
        for index in 0..<table.entries.count {
          let entry = table.entries[index]
          hasher.combine(entry.number)
          hasher.combine(entry.page)
          hasher.combine(entry.basePosition)
          hasher.combine(entry.firstSlot)
          hasher.combine(entry.endSlot)
          hasher.combine(entry.firstToken)
          hasher.combine(table.anchor(of: entry))
          let isCoded = table.pool.sets[Int(entry.page)].isCoded
          hasher.combine(isCoded)
          for head in 0..<shape.kvHeads {
            let norms = unsafe pageNorms(layer: layer, kvHead: head)[Int(entry.page)]
            hasher.combine(norms.key)
            hasher.combine(norms.value)
            guard includingPages else { continue }
            // SAFETY: the page of a live entry is committed and `pageBytes` long.
            unsafe hasher.combine(
              bytes: UnsafeRawBufferPointer(
                start: pageAddresses(layer: layer, kvHead: head)[Int(entry.page)],
                count: (isCoded ? codedLayout(ofLayer: layer) : layout(ofLayer: layer)).pageBytes))
          }
        }
      }
    }
    return CacheFingerprint(
      contents: hasher.finalize(), byteCount: byteCount, formulaBytes: formulaBytes,
      sequenceCount: sequenceCount, statistics: statistics())
  }
}
