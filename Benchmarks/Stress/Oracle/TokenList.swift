/// The naive twin of a sequence: a list of its tokens.
///
/// The token at index i stands at position `base + i`, whatever has been done to the sequence. A token is a number from
/// which its keys and values follow.
struct TokenList: Sendable, Equatable {
  private(set) var tokens: [UInt32] = []
  /// How often the cache may have rounded the keys of a token again, at most; `[index]`.
  private(set) var rewrites: [UInt8] = []
  /// Whether a token has been evicted, or released behind a window: it keeps its place, and nobody attends to it; `[index]`.
  private(set) var areEvicted: [Bool] = []
  /// Tokens that have not been evicted.
  private(set) var liveCount = 0
  /// Whether a token is pinned, evicted before or not; `[index]`.
  private(set) var arePinned: [Bool] = []
  /// Tokens at the start whose pages no policy evicts.
  private(set) var sinkCount = 0
  /// The position of the first token.
  private(set) var base = 0
  /// Where tokens were last taken out: what could go wrong goes wrong there.
  private(set) var seam = 0

  init(base: Int = 0) { self.base = base }

  /// The list that a snapshot has noted; all arrays are as long.
  init(
    base: Int, seam: Int, sinkCount: Int, tokens: [UInt32], rewrites: [UInt8], areEvicted: [Bool],
    arePinned: [Bool]
  ) {
    (self.base, self.seam, self.sinkCount) = (base, seam, sinkCount)
    (self.tokens, self.rewrites) = (tokens, rewrites)
    (self.areEvicted, self.arePinned) = (areEvicted, arePinned)
    liveCount = areEvicted.count { !$0 }
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
    arePinned += repeatElement(false, count: new.count)
    liveCount += new.count
  }

  mutating func truncate(to length: Int) {
    liveCount -= areEvicted[length...].count { !$0 }
    tokens.removeSubrange(length...)
    rewrites.removeSubrange(length...)
    areEvicted.removeSubrange(length...)
    arePinned.removeSubrange(length...)
    sinkCount = min(sinkCount, length)
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
    arePinned.removeSubrange(range)
    sinkCount -= range.clamped(to: 0..<sinkCount).count
    seam = range.lowerBound
  }

  /// The cache may have rounded the keys of a token again, so many times.
  mutating func touch(_ index: Int, _ times: UInt8) {
    rewrites[index] = UInt8(clamping: Int(rewrites[index]) + Int(times))
  }

  mutating func move(by delta: Int) { base += delta }

  mutating func makeSinks(_ count: Int) { sinkCount = count }

  mutating func setPins(of range: Range<Int>, to isPinned: Bool) {
    for index in range { arePinned[index] = isPinned }
  }

  /// Tokens are gone, and the others stand where they stood.
  mutating func evict(_ range: Range<Int>) {
    release(range)
    seam = range.lowerBound
  }

  /// As `evict`, of tokens that nobody has seen for long.
  mutating func release(_ range: Range<Int>) {
    for index in range where !areEvicted[index] {
      areEvicted[index] = true
      liveCount -= 1
    }
  }
}
