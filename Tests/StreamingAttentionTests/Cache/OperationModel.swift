import StreamingAttention

/// What a sequence holds, as a plain list of tokens.
struct OperationModel {
  struct Token {
    /// Which row it has.
    var identity: Int
    /// Counts the tokens of the lineage.
    var serial: Int
    var position: Int
    var isPinned = false
    /// Whether it was pinned while the table with a window still had it.
    var isHeld = false
    /// Whether it is one of the sinks.
    var isSink = false
    /// Whether the table that keeps everything has evicted it.
    var isEvicted = false
  }

  var tokens: [Token] = []
  var nextPosition: Int
  var start: Int
  private var nextSerial = 0

  init(startingAt position: Int) {
    nextPosition = position
    start = position
  }

  mutating func append(_ identities: Range<Int>) {
    for identity in identities {
      tokens.append(Token(identity: identity, serial: nextSerial, position: nextPosition))
      nextPosition += 1
      nextSerial += 1
    }
  }

  mutating func truncate(to length: Int) {
    tokens.removeSubrange(length...)
    nextPosition = (tokens.last?.position ?? start - 1) + 1
  }

  mutating func remove(_ range: Range<Int>) {
    tokens.removeSubrange(range)
    for index in range.lowerBound..<tokens.count { tokens[index].position -= range.count }
    nextPosition = (tokens.last?.position ?? start - 1) + 1
  }

  mutating func keep(first: Int, last: Int) {
    guard first + last < tokens.count else { return }
    var kept: [Token] = []
    for (index, token) in tokens.enumerated()
    where index < first || index >= tokens.count - last || token.isPinned {
      kept.append(token)
      kept[kept.count - 1].position -= index + 1 - kept.count
    }
    tokens = kept
    for index in tokens.indices { tokens[index].isSink = index < first }
    nextPosition = (tokens.last?.position ?? start - 1) + 1
  }

  mutating func rebase(by delta: Int) {
    for index in tokens.indices { tokens[index].position += delta }
    nextPosition += delta
    start += delta
  }

  /// Whether the window of the next token would miss a token, given which of them are live.
  func misses(_ isLive: [Bool]) -> Bool {
    zip(tokens, isLive).contains { token, isLive in
      !isLive && nextPosition - token.position < OperationHarness.window
    }
  }

  /// The shortest length above 0 at which the window would miss nothing.
  func shortestLength(_ isLive: [Bool]) -> Int {
    guard let missing = isLive.lastIndex(of: false) else { return 0 }
    return tokens.indices.first {
      $0 > missing
        && tokens[$0].position + 1 - tokens[missing].position >= OperationHarness.window
    }.map { $0 + 1 } ?? tokens.count
  }

  /// Whether the last of so many tokens has been evicted.
  func endsEvicted(_ length: Int) -> Bool { length > 0 && tokens[length - 1].isEvicted }
}
