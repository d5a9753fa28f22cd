/// What the cache knows about one sequence.
final class SequenceState {
  /// The largest position: it fits the 32-bit integers of file formats and kernels.
  static let maximumPosition = Int(Int32.max)

  let id: SequenceID
  /// One table for each pool of the cache.
  let tables: [PageTable]
  /// Committed tokens.
  var length = 0
  /// The position of the next token.
  var nextPosition: Int
  /// Tokens that the step in progress adds.
  var reservedTokens = 0
  var isInStep = false
  /// Changed together with the tables' `pageEpoch`.
  var rotation = SequenceRotation.standard

  init(id: SequenceID, tables: [PageTable], startingAt position: Int) {
    self.id = id
    self.tables = tables
    nextPosition = position
  }
}
