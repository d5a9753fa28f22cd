/// The tokens of a sequence that only an explicit removal takes away: ranges in order that do not touch.
struct PinnedTokens: ~Copyable {
  // Not private: the debug build would refer to metadata that Swift 6.3 does not emit.
  struct Pin: BitwiseCopyable {
    var start: Int
    var end: Int
  }

  private var pins = GrowingTable<Pin>()

  var rangeCount: Int { pins.count }

  subscript(index: Int) -> Range<Int> { pins[index].start..<pins[index].end }

  func overlap(_ tokens: Range<Int>) -> Bool {
    for index in 0..<pins.count
    where pins[index].start < tokens.upperBound && pins[index].end > tokens.lowerBound {
      return true
    }
    return false
  }

  /// Calls `body` with what is pinned among `tokens`.
  func forEach(in tokens: Range<Int>, _ body: (Range<Int>) -> Void) {
    for index in 0..<pins.count {
      let pin = self[index].clamped(to: tokens)
      if !pin.isEmpty { body(pin) }
    }
  }

  /// Adds tokens; throws with nothing changed.
  mutating func insert(_ tokens: Range<Int>) throws(CacheError) {
    if tokens.isEmpty { return }
    try pins.reserveCapacity(pins.count + 1)
    var joined = Pin(start: tokens.lowerBound, end: tokens.upperBound)
    var first = 0
    while first < pins.count, pins[first].end < joined.start { first += 1 }
    var end = first
    while end < pins.count, pins[end].start <= joined.end {
      joined.start = min(joined.start, pins[end].start)
      joined.end = max(joined.end, pins[end].end)
      end += 1
    }
    pins.removeSubrange(first..<end)
    pins.insert(joined, at: first)
  }

  /// Takes tokens out; throws with nothing changed.
  mutating func subtract(_ tokens: Range<Int>) throws(CacheError) {
    if tokens.isEmpty { return }
    try pins.reserveCapacity(pins.count + 1)
    var index = 0
    while index < pins.count {
      let pin = pins[index]
      let (left, right) = (
        Pin(start: pin.start, end: min(pin.end, tokens.lowerBound)),
        Pin(start: max(pin.start, tokens.upperBound), end: pin.end)
      )
      let isLeft = left.start < left.end
      if isLeft { pins[index] = left }
      if right.start < right.end {
        if isLeft { pins.insert(right, at: index + 1) } else { pins[index] = right }
      } else if !isLeft {
        pins.remove(at: index)
        continue
      }
      index += right.start < right.end && isLeft ? 2 : 1
    }
  }

  /// Follows a removal of tokens from the sequence: later ones move down.
  mutating func remove(_ tokens: Range<Int>) {
    func moved(_ token: Int) -> Int {
      token - min(max(token - tokens.lowerBound, 0), tokens.count)
    }
    var kept = 0
    for index in 0..<pins.count {
      let pin = Pin(start: moved(pins[index].start), end: moved(pins[index].end))
      guard pin.start < pin.end else { continue }
      if kept > 0, pins[kept - 1].end == pin.start {
        pins[kept - 1].end = pin.end
      } else {
        pins[kept] = pin
        kept += 1
      }
    }
    pins.removeSubrange(kept..<pins.count)
  }

  mutating func prepareCopy(of other: borrowing PinnedTokens) throws(CacheError) {
    try pins.reserveCapacity(other.pins.count)
  }

  /// - Precondition: It is empty, and prepared.
  mutating func copy(_ other: borrowing PinnedTokens) {
    for index in 0..<other.pins.count { pins.append(other.pins[index]) }
  }
}
