/// What a cache's invariants ask of the page tables of a snapshot, before it takes them.
extension SnapshotManifest {
  /// Throws what is wrong with the tables; layers are known to be the cache's.
  func checkTables(_ pools: [PagePool], path: String) throws(SnapshotError) {
    if let reason = tableDefect(pools) {
      throw .damaged(path: path, offset: Self.headerBytes, reason: reason)
    }
  }

  private func tableDefect(_ pools: [PagePool]) -> String? {
    guard sets.count == pools.count else { return "\(sets.count) pools, not \(pools.count)" }
    var isNamed = sets.map { [Bool](repeating: false, count: $0.count) }
    var entryCount = 0
    for (pool, sets) in zip(pools, sets) where !pool.isQuantized {
      guard sets.allSatisfy({ $0.form == .plain }) else {
        return "page sets in codes, where no layer has any"
      }
    }
    for (number, sequence) in sequences.enumerated() {
      for (pool, table) in sequence.tables.enumerated() {
        entryCount += table.entries.count
        for entry in table.entries {
          guard sets[pool].indices.contains(Int(entry.page)) else {
            return "sequence \(number) names page set \(entry.page) of \(sets[pool].count)"
          }
          isNamed[pool][Int(entry.page)] = true
        }
        if let defect = defect(of: table, sequence, keepsAll: pools[pool].retention == .everything)
        {
          return "sequence \(number): \(defect)"
        }
      }
    }
    guard entryCount < Int(Int32.max) else { return "\(entryCount) entries" }
    return isNamed.joined().contains(false) ? "a page set that no entry names" : nil
  }

  private func defect(of table: Table, _ sequence: Sequence, keepsAll: Bool) -> String? {
    var (number, position, token) = (-1, 0, 0)
    for entry in table.entries {
      guard entry.firstSlot >= 0, entry.firstSlot < entry.endSlot, entry.endSlot <= 64 else {
        return "entry \(entry.number): slots \(entry.firstSlot)..<\(entry.endSlot)"
      }
      guard Int(entry.number) > number, entry.firstPosition >= position,
        entry.tokens.lowerBound >= token,
        !keepsAll || table.hasEvicted || entry.tokens.lowerBound == token
      else { return "entry \(entry.number) is out of order" }
      (number, position, token) = (
        Int(entry.number), entry.endPosition, entry.tokens.upperBound
      )
    }
    guard token == sequence.length else {
      return "its entries end at \(token) of \(sequence.length)"
    }
    guard table.entries.isEmpty || position == sequence.nextPosition else {
      return "its entries end at position \(position) of \(sequence.nextPosition)"
    }
    return table.nextNumber > number ? nil : "entry \(number) is not the last"
  }

  // MARK: Against a cache

  /// Throws the first thing in which a cache's layers are not those of the snapshot.
  func checkLayers(_ cache: KVCache) throws(SnapshotError) {
    let shapes = cache.layers
    guard layers.count == shapes.count else {
      throw .shape(
        layer: nil, part: "number of layers", received: "\(layers.count)",
        allowed: "\(shapes.count)")
    }
    for (index, shape) in shapes.enumerated() {
      if let part = layers[index].difference(
        from: SnapshotLayer(shape, cache.fullPrecision))
      {
        throw .shape(
          layer: index, part: part.part, received: part.received, allowed: part.allowed)
      }
    }
  }

  /// Throws if keys or queries were turned by frequencies that the cache's layers do not have.
  func checkFrequencies(_ cache: KVCache) throws(SnapshotError) {
    for (pool, members) in cache.pools.enumerated() {
      var epochs: Set<Int> = []
      for set in sets[pool] { epochs.insert(Int(set.epoch)) }
      for sequence in sequences { epochs.insert(sequence.rotation.epoch) }
      epochs.remove(Int(PageSet.unturned))
      for layer in members.layers where cache.layers[layer].rotaryPairs > 0 {
        let known = cache.frequencies(ofLayer: layer)
        guard epochs.isEmpty || frequencies[layer].isEmpty || !known.isEmpty else {
          throw .noFrequencies(layer: layer)
        }
        for epoch in epochs.sorted() {
          let index = epoch - Int(PageSet.firstEpoch)
          let own = frequencies[layer].indices.contains(index) ? frequencies[layer][index] : nil
          let other = known.indices.contains(index) ? known[index] : nil
          guard own == other else { throw .frequencies(layer: layer, epoch: epoch) }
        }
      }
    }
  }
}

extension KVCache {
  /// Radians per token of a layer, `[epoch − 1][pair]`, as far as an engine has named them.
  func frequencies(ofLayer layer: Int) -> [[Double]] {
    guard rewriter.rotaries.indices.contains(layer) else { return [] }
    return rewriter.rotaries[layer].map(\.frequencies)
  }
}
