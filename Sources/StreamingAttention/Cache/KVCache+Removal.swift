extension KVCache {
  /// Rewinds a sequence to its first `length` tokens.
  ///
  /// It takes no memory, whatever other sequences share. The next token then stands after the last one kept.
  ///
  /// - Throws: ``CacheError/lengthOutOfRange(received:allowed:)``; ``CacheError/lengthReleased(received:shortest:)`` if the
  ///   window of a layer would miss tokens that have been released, or the last of the tokens has been evicted (0 is always
  ///   possible);
  ///   ``CacheError/unknownSequence(_:)``; ``CacheError/stepInProgress``. The cache is as it was then.
  /// - Complexity: O(entries given up).
  public func truncate(_ sequence: SequenceID, to length: Int) throws(CacheError) {
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    guard (0...state.length).contains(length) else {
      throw .lengthOutOfRange(received: length, allowed: 0...state.length)
    }
    let shortest = shortestLength(of: state)
    guard length == 0 || length >= shortest else {
      throw .lengthReleased(received: length, shortest: shortest)
    }
    guard length < state.length else { return }
    try checkEnd(of: state, length: length) { $0.holds($1) }
    for table in state.tables { table.truncate(to: length, budget: &budget) }
    state.pins.remove(length..<state.length)
    state.sinkCount = min(state.sinkCount, length)
    state.length = length
    state.nextPosition = state.tables[0].endPosition ?? state.startPosition
  }

  private func shortestLength(of state: SequenceState) -> Int {
    var shortest = 0
    for table in state.tables {
      guard case .window(let window) = table.pool.retention else { continue }
      shortest = max(shortest, table.shortestLength(window: window))
    }
    return shortest
  }

  /// Removes tokens: those after them move down by as many, their positions too (context shift).
  ///
  /// Integers of this sequence's page tables change, and no page, but for one case: where tokens of one page remain on both sides,
  /// the later ones are written anew, turned by the difference. Neighbouring pages that together fill at most half
  /// of one become one.
  ///
  /// - Throws: ``CacheError/rangeOutOfBounds(received:allowed:)``; ``CacheError/absolutePositions(layer:)`` if tokens would
  ///   move that cannot; ``CacheError/windowReleased(layer:received:allowed:)`` if the window of a layer would miss tokens
  ///   that have been released; ``CacheError/unknownFrequencies(layer:epoch:)`` if keys are to be turned and no engine
  ///   has described the layer; ``CacheError/unknownSequence(_:)``; ``CacheError/stepInProgress``; or what says that memory for a page
  ///   shared with other sequences is not to be had. The cache is as it was then.
  /// - Complexity: O(entries of the sequence and pages written).
  public func remove(_ tokens: Range<Int>, from sequence: SequenceID) throws(CacheError) {
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    try check(tokens, of: state)
    guard !tokens.isEmpty else { return }
    if tokens.upperBound == state.length {
      try truncate(sequence, to: tokens.lowerBound)
    } else {
      let length = state.length - tokens.count
      try edit(state, length: length) {
        (table, budget) throws(CacheError) in
        try table.draftRemoval(of: tokens, sinkCount: state.sinkCount, from: &budget)
      }
      state.forget(tokens)
    }
  }

  /// Keeps the first and last tokens and those that are pinned, at positions without a gap (attention sinks and a window).
  ///
  /// Xiao et al. 2023, arXiv:2309.17453, §3.2: positions are those inside the cache. Pages with any of the first tokens are never
  /// merged with others from then on.
  ///
  /// - Parameters:
  ///   - first: Tokens kept at the beginning.
  ///   - last: Tokens kept at the end.
  ///   - sequence: The sequence; it stays as it is if it is no longer than both together.
  /// - Throws: ``CacheError/invalidTokenCount(received:)`` for a negative number; otherwise as
  ///   ``remove(_:from:)``. The cache is as it was then.
  public func keep(first: Int, last: Int, of sequence: SequenceID) throws(CacheError) {
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    guard first >= 0 else { throw .invalidTokenCount(received: first) }
    guard last >= 0 else { throw .invalidTokenCount(received: last) }
    guard first < state.length, last < state.length - first else { return }
    let dropped = first..<state.length - last
    var kept = 0
    state.pins.forEach(in: dropped) { kept += $0.count }
    try edit(state, length: state.length - dropped.count + kept) {
      (table, budget) throws(CacheError) in
      // From the newest to the oldest, so that the numbers of tokens hold.
      var end = dropped.upperBound
      for index in stride(from: state.pins.rangeCount - 1, through: 0, by: -1) {
        let pin = state.pins[index].clamped(to: dropped)
        guard !pin.isEmpty else { continue }
        if pin.upperBound < end {
          try table.draftRemoval(of: pin.upperBound..<end, sinkCount: first, from: &budget)
        }
        end = pin.lowerBound
      }
      if dropped.lowerBound < end {
        try table.draftRemoval(of: dropped.lowerBound..<end, sinkCount: first, from: &budget)
      }
    }
    state.sinkCount = first
    state.isEvicting = true
    // Pins are forgotten nowhere, so that they only move.
    var end = dropped.upperBound
    var index = state.pins.rangeCount - 1
    while index >= 0 {
      let pin = state.pins[index].clamped(to: dropped)
      if !pin.isEmpty {
        if pin.upperBound < end { state.forget(pin.upperBound..<end) }
        end = pin.lowerBound
      }
      index -= 1
    }
    if dropped.lowerBound < end { state.forget(dropped.lowerBound..<end) }
  }

  private func check(_ tokens: Range<Int>, of state: SequenceState) throws(CacheError) {
    guard tokens.lowerBound >= 0, tokens.upperBound <= state.length else {
      throw .rangeOutOfBounds(received: tokens, allowed: 0..<state.length)
    }
  }

  /// Drafts an edit in all tables of a sequence, and applies it if nothing refuses.
  private func edit(
    _ state: SequenceState, length: Int,
    _ body: (PageTable, inout MemoryBudget) throws(CacheError) -> Void
  ) throws(CacheError) {
    if let layer = layers.firstIndex(where: { $0.keyPositions == .absolute }) {
      throw .absolutePositions(layer: layer)
    }
    do throws(CacheError) {
      for table in state.tables {
        try table.beginDraft()
        try body(table, &budget)
        try checkWindow(of: table, length: length)
        try rewriter.prepare(for: table.draft, in: table.pool)
      }
      try checkEnd(of: state, length: length) { $0.draftHolds($1) }
    } catch {
      for table in state.tables.reversed() { table.dropDraft(to: &budget) }
      throw error
    }
    budget.largestFormula = max(budget.largestFormula, formulaBytes)
    for table in state.tables { table.applyDraft(&rewriter, &counters, to: &budget) }
    state.nextPosition = state.tables[0].endPosition ?? state.startPosition
  }

  /// Throws if the window of the next token would miss tokens that the table has released.
  private func checkWindow(of table: PageTable, length: Int) throws(CacheError) {
    guard case .window(let window) = table.pool.retention, length > 0 else { return }
    // The last token may have left the window, where all that is left before it is what a pin has held.
    let reach = table.draftHolds(length - 1) ? table.draftReach ?? .max : 0
    guard reach >= window - 1, reach > 0 else {
      throw .windowReleased(layer: table.pool.layers[0], received: reach, allowed: window)
    }
  }

  // MARK: Pins

  /// Pins tokens: ``keep(first:last:of:)`` and the release of what leaves a window spare their pages.
  ///
  /// What a window has released already does not come back. Rewinding and removing take pinned tokens too.
  ///
  /// - Throws: ``CacheError/rangeOutOfBounds(received:allowed:)``; ``CacheError/unknownSequence(_:)``;
  ///   ``CacheError/stepInProgress``; ``CacheError/refused(_:)``. The cache is as it was then.
  public func pin(_ tokens: Range<Int>, of sequence: SequenceID) throws(CacheError) {
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    try check(tokens, of: state)
    try state.pins.insert(tokens)
  }

  /// Undoes ``pin(_:of:)`` for these tokens; they need not be pinned.
  ///
  /// What stands before the window is given back at the next commit.
  ///
  /// - Throws: As ``pin(_:of:)``.
  public func unpin(_ tokens: Range<Int>, of sequence: SequenceID) throws(CacheError) {
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    try check(tokens, of: state)
    try state.pins.subtract(tokens)
  }

  /// The pinned tokens of a sequence, in order.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``.
  public func pinnedTokens(of sequence: SequenceID) throws(CacheError) -> [Range<Int>] {
    let state = try state(of: sequence)
    return (0..<state.pins.rangeCount).map { state.pins[$0] }
  }
}

extension SequenceState {
  /// Tokens have gone from the page tables.
  fileprivate func forget(_ tokens: Range<Int>) {
    pins.remove(tokens)
    sinkCount -= tokens.clamped(to: 0..<max(sinkCount, 0)).count
    length -= tokens.count
  }
}
