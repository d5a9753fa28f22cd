/// What one sequence does in a step: how many tokens it appends and how many of its newest tokens ask.
public struct StepRequest: Sendable, Equatable {
  /// The sequence to grow and to read.
  public var sequence: SequenceID
  /// New tokens, 0 or more.
  public var tokenCount: Int
  /// Query rows, 0 or more; they belong to the newest tokens once the new ones are there, and to the positions before the first.
  ///
  /// None may stand before position 0, nor where a layer's window reaches back to tokens that have been released.
  public var queryCount: Int

  /// Appends `tokenCount` tokens and asks for the attention of the newest `queryCount` (all new ones if nil).
  public init(_ sequence: SequenceID, appending tokenCount: Int, querying queryCount: Int? = nil) {
    self.sequence = sequence
    self.tokenCount = tokenCount
    self.queryCount = queryCount ?? tokenCount
  }
}
