extension KVCache {
  /// Which frequencies turn the queries and the next keys of a sequence.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``.
  package func rotation(of sequence: SequenceID) throws(CacheError) -> SequenceRotation {
    try state(of: sequence).rotation
  }

  /// Changes which frequencies turn the queries and the next keys of a sequence.
  ///
  /// What is stored stays as it is: page sets record how their keys were turned, and where the newest one was turned
  /// differently, the next token opens another.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``, or ``CacheError/stepInProgress``.
  /// - Precondition: The epoch is above 0.
  package func setRotation(
    _ rotation: SequenceRotation, of sequence: SequenceID
  ) throws(CacheError) {
    precondition(rotation.epoch >= Int(PageSet.firstEpoch), "epoch \(rotation.epoch)")
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    state.rotation = rotation
    for table in state.tables { table.pageEpoch = rotation.pageEpoch }
  }
}
