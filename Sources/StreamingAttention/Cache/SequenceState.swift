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
  /// Where the first token stands, or would.
  var startPosition: Int
  /// Tokens at the beginning that ``KVCache/keep(first:last:of:)`` has made sinks: their pages are not merged.
  var sinkCount = 0
  var pins = PinnedTokens()
  /// Whether tokens have been given up by ``KVCache/keep(first:last:of:)`` or an eviction: its oldest extents empty themselves.
  var isEvicting = false
  /// Tokens that the step in progress adds.
  var reservedTokens = 0
  var isInStep = false
  /// Changed together with the tables' `pageEpoch`.
  var rotation = SequenceRotation.standard

  init(id: SequenceID, tables: [PageTable], startingAt position: Int) {
    self.id = id
    self.tables = tables
    nextPosition = position
    startPosition = position
  }
}
