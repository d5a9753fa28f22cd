/// The naive twin of a sequence: a list of its tokens.
///
/// The token at index i stands at position `base + i`, whatever has been done to the sequence. A token is a number from
/// which its keys and values follow.
struct TokenList: Sendable, Equatable {
  private(set) var tokens: [UInt32] = []
  /// How often the cache may have rounded the keys of a token again, at most; `[index]`.
  private(set) var rewrites: [UInt8] = []
  /// The position of the first token.
  private(set) var base = 0
  /// Where tokens were last taken out: what could go wrong goes wrong there.
  private(set) var seam = 0

  init(base: Int = 0) { self.base = base }

  init(base: Int, seam: Int, tokens: [UInt32], rewrites: [UInt8]) {
    (self.base, self.seam, self.tokens, self.rewrites) = (base, seam, tokens, rewrites)
  }

  var count: Int { tokens.count }

  func position(of index: Int) -> Int { base + index }

  /// The most rewrites among a token and its neighbours on either side.
  func mostRewrites(around index: Int, _ neighbours: Int) -> Int {
    let own = rewrites[max(index - neighbours, 0)..<min(index + neighbours + 1, count)]
    return Int(own.max() ?? 0)
  }

  mutating func append(_ new: some Collection<UInt32>) {
    tokens += new
    rewrites += repeatElement(0, count: new.count)
  }

  mutating func truncate(to length: Int) {
    tokens.removeSubrange(length...)
    rewrites.removeSubrange(length...)
    // A quantised page that the next token goes to is quantised again.
    for index in max(length - 64, 0)..<length { touch(index, 1) }
    seam = min(seam, length)
  }

  // MARK: For its other operations

  /// Takes tokens out, and remembers where.
  mutating func take(_ range: Range<Int>) {
    tokens.removeSubrange(range)
    rewrites.removeSubrange(range)
    seam = range.lowerBound
  }

  /// The cache may have rounded the keys of a token again, so many times.
  mutating func touch(_ index: Int, _ times: UInt8) {
    rewrites[index] = UInt8(clamping: Int(rewrites[index]) + Int(times))
  }

  mutating func move(by delta: Int) { base += delta }
}
