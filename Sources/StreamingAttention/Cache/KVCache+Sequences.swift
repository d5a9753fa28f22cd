extension KVCache {
  /// Positions that a token may have.
  public static var positions: ClosedRange<Int> { 0...SequenceState.maximumPosition }

  /// Number of sequences that have not been dropped.
  public var sequenceCount: Int { sequences.count - freeIndices.count }

  /// A new, empty sequence, whose first token stands at `position`.
  ///
  /// - Throws: ``CacheError/positionOutOfRange(received:allowed:)``.
  public func makeSequence(startingAt position: Int = 0) throws(CacheError) -> SequenceID {
    guard Self.positions.contains(position) else {
      throw .positionOutOfRange(received: position, allowed: Self.positions)
    }
    let state = SequenceState(
      id: SequenceID(index: freeIndices.last ?? sequences.count),
      tables: pools.map(PageTable.init(pool:)), startingAt: position)
    insert(state)
    return state.id
  }

  /// Makes a sequence known whose identifier names the last free place, or a new one.
  func insert(_ state: SequenceState) {
    if freeIndices.popLast() == nil {
      sequences.append(state)
    } else {
      sequences[state.id.index] = state
    }
  }

  /// Drops a sequence and gives its memory back.
  ///
  /// With the last one, engines give back what they keep for their steps (``AttentionEngine/releaseScratch()``).
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``, or ``CacheError/stepInProgress``.
  public func drop(_ sequence: SequenceID) throws(CacheError) {
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    for table in state.tables { table.removeAll(to: &budget) }
    sequences[sequence.index] = nil
    freeIndices.append(sequence.index)
    if sequenceCount == 0 { releaseScratch() }
  }

  /// Committed tokens of a sequence.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``.
  public func length(of sequence: SequenceID) throws(CacheError) -> Int {
    try state(of: sequence).length
  }

  /// The position of a sequence's next token.
  ///
  /// A step in progress does not move it before it commits.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``.
  public func nextPosition(of sequence: SequenceID) throws(CacheError) -> Int {
    try state(of: sequence).nextPosition
  }

  func state(of sequence: SequenceID) throws(CacheError) -> SequenceState {
    guard sequences.indices.contains(sequence.index), let state = sequences[sequence.index],
      state.id == sequence
    else { throw .unknownSequence(sequence) }
    return state
  }
}
