extension KVCache {
  /// A new sequence with the tokens, positions and pins of another, whose pages it shares.
  ///
  /// No page is copied before one of the two writes into the newest; forks may be forked, and dropped in any order.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``; ``CacheError/stepInProgress``; ``CacheError/refused(_:)`` if memory
  ///   for the page tables is not to be had. The cache is as it was then.
  /// - Complexity: O(entries).
  public func fork(_ sequence: SequenceID) throws(CacheError) -> SequenceID {
    let original = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    let copy = SequenceState(
      id: SequenceID(index: freeIndices.last ?? sequences.count),
      tables: pools.map(PageTable.init(pool:)), startingAt: original.startPosition)
    for (table, other) in zip(copy.tables, original.tables) { try table.prepareFork(of: other) }
    try copy.pins.prepareCopy(of: original.pins)
    for (table, other) in zip(copy.tables, original.tables) { table.fork(other) }
    copy.pins.copy(original.pins)
    copy.length = original.length
    copy.nextPosition = original.nextPosition
    copy.sinkCount = original.sinkCount
    copy.isEvicting = original.isEvicting
    copy.rotation = original.rotation
    insert(copy)
    return copy.id
  }
}
