extension KVCache {
  /// The live pages of a sequence in the page table of a layer, oldest first.
  ///
  /// - Throws: ``CacheError/unknownLayer(received:allowed:)``; ``CacheError/unknownSequence(_:)``;
  ///   ``CacheError/stepInProgress``.
  /// - Complexity: O(entries).
  public func pages(of sequence: SequenceID, layer: Int) throws(CacheError) -> [CachedPage] {
    let (state, table) = try evictable(sequence, layer: layer)
    return (0..<table.entries.count).map { index in
      let entry = table.entries[index]
      return CachedPage(
        tokens: entry.tokens, mass: entry.mass, latestMass: entry.latestMass,
        isProtected: state.protects(index, in: table))
    }
  }

  /// Evicts what a policy does not keep, until about `count` pages are left in the page table of a layer.
  ///
  /// All layers and heads of the table give up the same pages; layers with another ``LayerShape/pageTable`` are not touched. What
  /// remains stands where it stood: positions of keys and of the next token stay as they are, and so does the length of
  /// the sequence. Protected pages are kept whatever the policy says (``CachedPage/isProtected``).
  ///
  /// - Returns: How many pages the sequence has given up; others may share them still.
  /// - Throws: ``CacheError/invalidPageCount(received:)`` for a negative count; ``CacheError/windowedLayer(_:)`` where the retention
  ///   releases pages itself; ``CacheError/unknownLayer(received:allowed:)``; ``CacheError/unknownSequence(_:)``;
  ///   ``CacheError/stepInProgress``; ``CacheError/refused(_:)``. The cache is as it was then.
  /// - Complexity: O(entries), and what the policy takes.
  @discardableResult
  public func evict(
    from sequence: SequenceID, layer: Int, to count: Int, by policy: EvictionPolicy
  ) throws(CacheError) -> Int {
    guard count >= 0 else { throw .invalidPageCount(received: count) }
    let pages = try pages(of: sequence, layer: layer)
    try checkRetention(layer: layer)
    guard pages.count > count else { return 0 }
    var isKept = pages.map(\.isProtected)
    for index in policy.choice(pages, count) where pages.indices.contains(index) {
      isKept[index] = true
    }
    return try evict(from: sequence, layer: layer) { !isKept[$0] }
  }

  /// Evicts the pages of these numbers, as ``pages(of:layer:)`` counts them.
  ///
  /// As ``evict(from:layer:to:by:)`` otherwise.
  ///
  /// - Throws: ``CacheError/unknownEntry(received:)`` for a number that is not there; ``CacheError/protectedPage(received:tokens:)``
  ///   for one that must stay; otherwise as ``evict(from:layer:to:by:)``. The cache is as it was then.
  public func evict(pages numbers: [Int], from sequence: SequenceID, layer: Int) throws(CacheError)
  {
    let (state, table) = try evictable(sequence, layer: layer)
    try checkRetention(layer: layer)
    var isEvicted = [Bool](repeating: false, count: table.entries.count)
    for number in numbers {
      guard isEvicted.indices.contains(number) else { throw .unknownEntry(received: number) }
      guard !state.protects(number, in: table) else {
        throw .protectedPage(received: number, tokens: table.entries[number].tokens)
      }
      isEvicted[number] = true
    }
    _ = try evict(from: sequence, layer: layer) { isEvicted[$0] }
  }

  private func evictable(
    _ sequence: SequenceID, layer: Int
  ) throws(CacheError) -> (SequenceState, PageTable) {
    guard layers.indices.contains(layer) else {
      throw .unknownLayer(received: layer, allowed: layers.indices)
    }
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    return (state, state.tables[poolOfLayer[layer]])
  }

  private func checkRetention(layer: Int) throws(CacheError) {
    guard layers[layer].retention == .everything else { throw .windowedLayer(layer) }
  }

  private func evict(
    from sequence: SequenceID, layer: Int, _ isEvicted: (Int) -> Bool
  ) throws(CacheError) -> Int {
    let (state, table) = try evictable(sequence, layer: layer)
    let before = table.entries.count
    do throws(CacheError) {
      try table.beginDraft()
      try table.draftEviction(isEvicted)
    } catch {
      table.dropDraft(to: &budget)
      throw error
    }
    guard table.draft.entries.count < before else {
      table.dropDraft(to: &budget)
      return 0
    }
    table.applyDraft(&rewriter, &counters, to: &budget)
    table.hasEvicted = true
    state.isEvicting = true
    counters.evictions += before - table.entries.count
    return before - table.entries.count
  }

  /// Adds to what is kept of the attention that each live page has had; the step that noted it is the latest.
  func note(in sequence: SequenceID, table: Int, _ mass: (Int) -> Double) {
    guard let state = try? state(of: sequence) else { return }
    let table = state.tables[table]
    for index in 0..<table.entries.count {
      table.entries[index].latestMass = mass(index)
      table.entries[index].mass += mass(index)
    }
  }

  /// Throws if a sequence would end with a token that a table has evicted.
  func checkEnd(
    of state: SequenceState, length: Int, _ holds: (PageTable, Int) -> Bool
  ) throws(CacheError) {
    guard length > 0, state.tables.contains(where: \.hasEvicted) else { return }
    func isWhole(_ length: Int, _ holds: (PageTable, Int) -> Bool) -> Bool {
      state.tables.allSatisfy { !$0.hasEvicted || holds($0, length - 1) }
    }
    guard !isWhole(length, holds) else { return }
    var shortest = length + 1
    while shortest < state.length, !isWhole(shortest, { $0.holds($1) }) { shortest += 1 }
    throw .lengthReleased(received: length, shortest: shortest)
  }
}

extension SequenceState {
  /// Whether an entry stays whatever a policy says.
  fileprivate func protects(_ index: Int, in table: PageTable) -> Bool {
    let tokens = table.entries[index].tokens
    return index == table.entries.count - 1 || tokens.lowerBound < sinkCount || pins.overlap(tokens)
  }
}

extension PageTable {
  /// Gives up entries of the draft between others that stay; later ones may be numbered anew, and nothing moves.
  fileprivate func draftEviction(_ isEvicted: (Int) -> Bool) throws(CacheError) {
    try draft.releases.reserveCapacity(draft.entries.count)
    var end = draft.entries.count
    while end > 0 {
      guard isEvicted(end - 1) else {
        end -= 1
        continue
      }
      var start = end - 1
      while start > 0, isEvicted(start - 1) { start -= 1 }
      let touched = Int(draft.entries[start].number)...Int(draft.entries[end - 1].number)
      let token = draft.entries[start].tokens.lowerBound
      for index in start..<end { draft.releases.append(draft.entries[index].page) }
      draft.entries.removeSubrange(start..<end)
      renumber(after: token, touched: touched)
      end = start
    }
  }

  /// Whether the table holds a token.
  func holds(_ token: Int) -> Bool {
    var index = entries.count - 1
    while index >= 0, entries[index].tokens.lowerBound > token { index -= 1 }
    return index >= 0 && entries[index].tokens.contains(token)
  }
}
