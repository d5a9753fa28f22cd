import KernelTable

@testable import StreamingAttention

/// Compares sequences of two caches in everything that decides the bits of a step, and in what they share.
struct SnapshotTwin {
  let cache: KVCache
  let other: KVCache
  /// The other cache's page set for each of the first, by pool.
  private var pages: [[Int32: Int32]]

  private init(_ cache: KVCache, _ other: KVCache) {
    (self.cache, self.other) = (cache, other)
    pages = cache.pools.map { _ in [:] }
  }

  /// What differs first; nil if nothing does.
  static func difference(
    _ cache: KVCache, _ sequences: [SequenceID], _ other: KVCache, _ others: [SequenceID]
  ) throws -> String? {
    guard sequences.count == others.count else { return "\(others.count) of \(sequences.count)" }
    var twin = SnapshotTwin(cache, other)
    for (index, (own, copy)) in zip(sequences, others).enumerated() {
      if let difference = twin.difference(try cache.state(of: own), try other.state(of: copy)) {
        return "sequence \(index): \(difference)"
      }
    }
    for pool in cache.pools.indices {
      if Set(twin.pages[pool].values).count != twin.pages[pool].count {
        return "pool \(pool): two page sets have become one"
      }
      for (page, copy) in twin.pages[pool] {
        if let difference = twin.difference(page, copy, pool: pool) {
          return "pool \(pool), page set \(page): \(difference)"
        }
      }
    }
    let defects = other.checkInvariants()
    return defects.isEmpty ? nil : "\(defects)"
  }

  private mutating func difference(_ own: SequenceState, _ copy: SequenceState) -> String? {
    let counters = [own, copy].map {
      [$0.startPosition, $0.nextPosition, $0.length, $0.sinkCount, $0.reservedTokens]
    }
    if counters[0] != counters[1] { return "\(counters)" }
    if own.isEvicting != copy.isEvicting { return "evicting: \(copy.isEvicting)" }
    if own.rotation != copy.rotation { return "\(copy.rotation), not \(own.rotation)" }
    let pins = [own, copy].map { state in
      (0..<state.pins.rangeCount).map { state.pins[$0] }
    }
    if pins[0] != pins[1] { return "pins \(pins)" }
    for pool in cache.pools.indices {
      let (table, other) = (own.tables[pool], copy.tables[pool])
      let numbers = [table, other].map {
        [
          $0.nextNumber, $0.pagesWritten, $0.isRewound ? 1 : 0, Int($0.pageEpoch),
          $0.entries.count, $0.nextAnchor,
        ]
      }
      if numbers[0] != numbers[1] { return "table \(pool): \(numbers)" }
      for index in 0..<table.entries.count {
        let (entry, found) = (table.entries[index], other.entries[index])
        var expected = entry
        expected.page = found.page
        if "\(expected)" != "\(found)" { return "\(found), not \(expected)" }
        if let known = pages[pool][entry.page], known != found.page {
          return "page set \(entry.page) is \(known) and \(found.page)"
        }
        pages[pool][entry.page] = found.page
      }
    }
    return nil
  }

  private func difference(_ page: Int32, _ copy: Int32, pool number: Int) -> String? {
    let (pool, otherPool) = (cache.pools[number], other.pools[number])
    let (set, found) = (pool.sets[Int(page)], otherPool.sets[Int(copy)])
    if set.epoch != found.epoch || set.offset != found.offset || set.rewrites != found.rewrites
      || set.isCoded != found.isCoded || set.isUncodable != found.isUncodable
    {
      return "\(found), not \(set)"
    }
    for column in 0..<pool.columnCount {
      let (norms, copied) = (pool.norms[column, Int(page)], otherPool.norms[column, Int(copy)])
      if norms.key.bitPattern != copied.key.bitPattern
        || norms.value.bitPattern != copied.value.bitPattern
      {
        return "column \(column): \(copied), not \(norms)"
      }
      if pool.isQuantized {
        let (errors, copied) = (
          pool.errors[column, Int(page)], otherPool.errors[column, Int(copy)]
        )
        if errors.key.bitPattern != copied.key.bitPattern
          || errors.value.bitPattern != copied.value.bitPattern
        {
          return "column \(column): \(copied), not \(errors)"
        }
      }
      let bytes = pool.columnPageBytes(pool.form(of: page))[column]
      // SAFETY: both page sets are live, so their pages are committed and `bytes` long.
      let isSame = unsafe [UInt8](
        UnsafeRawBufferPointer(start: pool.addresses[column, Int(page)], count: bytes)
      ).elementsEqual(
        UnsafeRawBufferPointer(start: otherPool.addresses[column, Int(copy)], count: bytes))
      if !isSame { return "column \(column): other bytes" }
    }
    return nil
  }
}

extension OperationHarness {
  /// The bits of what all layers answer in a step that appends some tokens to a sequence and is given up; or why it
  /// cannot be.
  func nextStep(of sequence: SequenceID, engine: AttentionEngine? = nil) -> [UInt32] {
    let engine = engine ?? self.engine
    let tokens = 3
    var bits: [UInt32] = []
    do {
      try engine.begin([StepRequest(sequence, appending: tokens, querying: tokens)])
    } catch {
      return Array("\(error)".utf8).map(UInt32.init)
    }
    defer { engine.abandon() }
    for (layer, shape) in cache.layers.enumerated() {
      let heads = 2 * shape.kvHeads
      func rows(_ first: Int, _ row: (Int, Int) -> [Float]) -> [Float] {
        (first..<first + tokens).flatMap { token in (0..<shape.kvHeads).flatMap { row(token, $0) } }
      }
      let keys = rows(40) { key($0, layer: layer, head: $1) }
      let values = rows(40) { value($0, layer: layer, head: $1) }
      let queries = rows(90) {
        key($0, layer: layer, head: $1) + key($0 + 9, layer: layer, head: $1)
      }
      var output = [Float](repeating: .nan, count: tokens * heads * shape.valueWidth)
      var logSumExp = [Float](repeating: .nan, count: tokens * heads)
      var span = output.mutableSpan
      var lse = logSumExp.mutableSpan
      do {
        try engine.append(layer: layer, keys: keys.span, values: values.span)
        try engine.attend(layer: layer, queries: queries.span, into: &span, logSumExp: &lse)
      } catch {
        return Array("\(error)".utf8).map(UInt32.init)
      }
      bits += output.map(\.bitPattern) + logSumExp.map(\.bitPattern)
    }
    return bits
  }
}
