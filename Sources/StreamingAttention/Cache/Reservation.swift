/// Tokens that a step appends to one sequence.
package struct SlotRequest: Sendable, Equatable {
  package var sequence: SequenceID
  package var tokenCount: Int

  package init(_ sequence: SequenceID, appending tokenCount: Int) {
    self.sequence = sequence
    self.tokenCount = tokenCount
  }
}

/// The slots of a step in progress: reserved in all layers, not yet live.
package struct Reservation: Sendable, Equatable {
  let step: UInt64
}
