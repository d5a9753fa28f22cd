import StreamingAttention

/// What the cache must refuse, and what it must keep, as Documentation/Cache.md says.
extension TokenList {
  /// The pinned tokens, in ranges that do not touch.
  var pinned: [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0
    while let first = arePinned[start...].firstIndex(of: true) {
      let end = arePinned[first...].firstIndex(of: false) ?? count
      ranges.append(first..<end)
      start = end
    }
    return ranges
  }

  /// Whether a page with these tokens stays whatever a policy says; the newest one does as well.
  func protects(_ tokens: Range<Int>) -> Bool {
    tokens.lowerBound < sinkCount || arePinned[tokens].contains(true)
  }

  /// The newest token that has been evicted or released.
  private var newestGap: Int? { liveCount == count ? nil : areEvicted.lastIndex(of: true) }

  /// Whether the newest token sees all that its window holds: it may miss one, so that only the next one may ask.
  func isWhole(window: Int?) -> Bool {
    guard let window, let gap = newestGap else { return true }
    return count - gap > window
  }

  /// The shortest length, of `length` and more, that the sequence can be rewound to.
  ///
  /// Its last token must be there, and with a window all that the next token will see.
  func shortestLength(from length: Int, window: Int?) -> Int {
    guard length > 0, length < count, let gap = newestGap else { return length }
    // The next token is in its own window, and the one before it must be there whether the window holds it or not.
    if let window { return max(length, min(gap + max(window, 2), count)) }
    return (areEvicted[(length - 1)...].firstIndex(of: false) ?? count - 1) + 1
  }

  /// How a rewind must be refused; nil if it is possible.
  func refusal(ofLength length: Int, window: Int?) -> CacheError? {
    let shortest = shortestLength(from: length, window: window)
    return shortest > length ? .lengthReleased(received: length, shortest: shortest) : nil
  }

  /// How a removal must be refused; nil if it is possible.
  func refusal(removing tokens: Range<Int>, window: Int?) -> CacheError? {
    guard !tokens.isEmpty else { return nil }
    if tokens.upperBound == count { return refusal(ofLength: tokens.lowerBound, window: window) }
    guard let window else { return nil }
    var left = self
    left.remove(tokens)
    return left.refusal(window: window)
  }

  /// How it must be refused to keep the first and last tokens, and those that are pinned; nil if it is possible.
  func refusal(keeping first: Int, _ last: Int, window: Int?) -> CacheError? {
    guard let window, first + last < count else { return nil }
    var left = self
    left.keep(first: first, last: last)
    return left.refusal(window: window)
  }

  /// How a removal from between other tokens must be refused that leaves this list.
  private func refusal(window: Int) -> CacheError? {
    guard let gap = newestGap else { return nil }
    let reach = count - 1 - gap
    return reach > 0 && reach >= window - 1
      ? nil : .windowReleased(layer: 0, received: reach, allowed: window)
  }
}
