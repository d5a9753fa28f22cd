/// The naive twin of a sequence: a list of its tokens.
///
/// The token at index i stands at position `base + i`, whatever has been done to the sequence. A token is a number from
/// which its keys and values follow.
struct TokenList: Sendable, Equatable {
  private(set) var tokens: [UInt32] = []
  /// How often the cache may have rounded the keys of a token again, at most; `[index]`.
  private(set) var rewrites: [UInt8] = []
  /// Whether a token has been evicted: it keeps its place, and nobody attends to it; `[index]`.
  private(set) var areEvicted: [Bool] = []
  /// Tokens that have not been evicted.
  private(set) var liveCount = 0
  /// The position of the first token.
  private(set) var base = 0
  /// Where tokens were last taken out: what could go wrong goes wrong there.
  private(set) var seam = 0

  init(base: Int = 0) { self.base = base }

  init(base: Int, seam: Int, tokens: [UInt32], rewrites: [UInt8]) {
    (self.base, self.seam, self.tokens, self.rewrites) = (base, seam, tokens, rewrites)
    // Only the preset `evict` takes a policy, and it saves nothing.
    areEvicted = [Bool](repeating: false, count: tokens.count)
    liveCount = tokens.count
  }

  var count: Int { tokens.count }

  func position(of index: Int) -> Int { base + index }

  /// Tokens at the start that both have, as sequences do that were forked from one another; none if either has lost any.
  func sharedPrefix(with other: TokenList) -> Int {
    guard liveCount == count, other.liveCount == other.count else { return 0 }
    return zip(tokens, other.tokens).prefix { $0 == $1 }.count
  }

  /// The most rewrites among a token and its neighbours on either side.
  func mostRewrites(around index: Int, _ neighbours: Int) -> Int {
    let own = rewrites[max(index - neighbours, 0)..<min(index + neighbours + 1, count)]
    return Int(own.max() ?? 0)
  }

  mutating func append(_ new: some Collection<UInt32>) {
    tokens += new
    rewrites += repeatElement(0, count: new.count)
    areEvicted += repeatElement(false, count: new.count)
    liveCount += new.count
  }

  mutating func truncate(to length: Int) {
    liveCount -= areEvicted[length...].count { !$0 }
    tokens.removeSubrange(length...)
    rewrites.removeSubrange(length...)
    areEvicted.removeSubrange(length...)
    // A quantised page that the next token goes to is quantised again.
    for index in max(length - 64, 0)..<length { touch(index, 1) }
    seam = min(seam, length)
  }

  // MARK: For its other operations

  /// Takes tokens out, and remembers where.
  mutating func take(_ range: Range<Int>) {
    liveCount -= areEvicted[range].count { !$0 }
    tokens.removeSubrange(range)
    rewrites.removeSubrange(range)
    areEvicted.removeSubrange(range)
    seam = range.lowerBound
  }

  /// The cache may have rounded the keys of a token again, so many times.
  mutating func touch(_ index: Int, _ times: UInt8) {
    rewrites[index] = UInt8(clamping: Int(rewrites[index]) + Int(times))
  }

  mutating func move(by delta: Int) { base += delta }

  /// Tokens are gone, and the others stand where they stood.
  mutating func evict(_ range: Range<Int>) {
    for index in range where !areEvicted[index] {
      areEvicted[index] = true
      liveCount -= 1
    }
    seam = range.lowerBound
  }
}
