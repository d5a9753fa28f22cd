/// What operations make of the list; the positions of what stays follow by themselves.
extension TokenList {
  /// A page's worth of tokens behind a removal may be turned and rounded again, and once more for each page that it is
  /// merged with; half as many before it, if their page is merged with an older one.
  private static let (rewrittenAfter, rewrittenBefore) = (64, 32)

  /// Removes tokens: later ones move down.
  mutating func remove(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    take(range)
    guard range.lowerBound < count else { return }
    for index in range.lowerBound..<min(range.lowerBound + Self.rewrittenAfter, count) {
      touch(index, 3)
    }
    for index in max(range.lowerBound - Self.rewrittenBefore, 0)..<range.lowerBound {
      touch(index, 1)
    }
  }

  /// Keeps the first tokens, which become sinks, the last ones and those that are pinned.
  mutating func keep(first: Int, last: Int) {
    guard first + last < count else { return }
    var end = count - last
    while end > first {
      var start = end
      while start > first, !arePinned[start - 1] { start -= 1 }
      remove(start..<end)
      end = start
      while end > first, arePinned[end - 1] { end -= 1 }
    }
    makeSinks(first)
  }

  mutating func pin(_ range: Range<Int>) { setPins(of: range, to: true) }

  mutating func unpin(_ range: Range<Int>) { setPins(of: range, to: false) }

  /// Moves all tokens to other positions.
  mutating func rebase(by delta: Int) { move(by: delta) }
}
