extension KVCache {
  /// Which frequencies turn the queries and the next keys of a sequence.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``.
  public func rotation(of sequence: SequenceID) throws(CacheError) -> SequenceRotation {
    try state(of: sequence).rotation
  }

  /// Changes which frequencies turn the queries and the next keys of a sequence.
  ///
  /// What is stored stays as it is: page sets record how their keys were turned, and where the newest one was turned
  /// differently, the next token opens another.
  ///
  /// Whether the layers know the epoch is checked where a step begins.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``, ``CacheError/invalidEpoch(received:)`` or ``CacheError/stepInProgress``.
  /// - Complexity: O(1): nothing that is stored is touched.
  public func setRotation(
    _ rotation: SequenceRotation, of sequence: SequenceID
  ) throws(CacheError) {
    guard (Int(PageSet.firstEpoch)...Int(Int32.max)).contains(rotation.epoch) else {
      throw .invalidEpoch(received: rotation.epoch)
    }
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    state.rotation = rotation
    for table in state.tables { table.pageEpoch = rotation.pageEpoch }
  }
}
