extension KVCache {
  /// Moves a whole sequence: every key's position changes by `delta`, and no page is touched.
  ///
  /// Scores depend on differences of positions only, so queries at the moved positions see the same scores.
  ///
  /// - Throws: ``CacheError/absolutePositions(layer:)`` if a layer's keys carry absolute positions;
  ///   ``CacheError/overlappingPositions(received:allowed:)`` if a key or the next one would leave ``positions``;
  ///   ``CacheError/unknownSequence(_:)``; ``CacheError/stepInProgress``. The cache is as it was then.
  /// - Complexity: O(entries).
  public func rebase(_ sequence: SequenceID, by delta: Int) throws(CacheError) {
    try rebase(sequence, fromEntry: 0, by: delta)
  }

  /// Moves the entries numbered `number` and higher; their anchors move with them.
  ///
  /// This is the core of a context shift: O(entries moved), integers of one sequence only.
  ///
  /// - Throws: ``CacheError/absolutePositions(layer:)`` if a layer's keys carry absolute positions;
  ///   ``CacheError/unknownEntry(received:)`` if no entry moves though some are to;
  ///   ``CacheError/overlappingPositions(received:allowed:)``; ``CacheError/stepInProgress``.
  package func rebase(
    _ sequence: SequenceID, fromEntry number: Int, by delta: Int
  ) throws(CacheError) {
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    if let layer = layers.firstIndex(where: { $0.keyPositions == .absolute }) {
      throw .absolutePositions(layer: layer)
    }
    var lowest = number <= 0 ? -state.nextPosition : Int.min
    for table in state.tables {
      let index = table.index(ofEntry: number)
      guard index < table.entries.count || number <= 0 else {
        throw .unknownEntry(received: number)
      }
      guard index < table.entries.count else { continue }
      let free = index > 0 ? table.entries[index - 1].endPosition : 0
      lowest = max(lowest, free - table.entries[index].firstPosition)
    }
    let allowed = lowest...SequenceState.maximumPosition + 1 - state.nextPosition
    guard allowed.contains(delta) else {
      throw .overlappingPositions(received: delta, allowed: allowed)
    }
    for table in state.tables { table.move(from: table.index(ofEntry: number), by: delta) }
    state.nextPosition += delta
    if number <= 0 { state.startPosition = max(state.startPosition + delta, 0) }
  }
}
