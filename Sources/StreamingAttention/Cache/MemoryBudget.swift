/// Page memory that is committed, and how much may be.
struct MemoryBudget {
  let limit: Int
  private(set) var committed = 0
  /// What is committed ahead of need, beside `committed`: it gives way where memory is short.
  private(set) var ahead = 0
  /// Those that hold it.
  var arenas: [Arena] = []
  private(set) var peak = 0
  /// The largest value of the formula so far, and its value at the end of the step in progress.
  var largestFormula = 0
  var stepFormula = 0

  init(limit: Int) { self.limit = limit }

  mutating func take(_ byteCount: Int) throws(CacheError) {
    guard byteCount <= limit - committed else {
      throw .outOfMemory(needed: committed + byteCount, allowed: limit)
    }
    var index = 0
    while byteCount > limit - committed - ahead, index < arenas.count {
      if arenas[index].giveBackLastAhead() { ahead -= Arena.groupBytes } else { index += 1 }
    }
    committed += byteCount
    peak = max(peak, committed)
  }

  /// Whether with so many bytes more the committed memory would be beyond what the formula has ever asked for, or refused.
  func passesFormula(by byteCount: Int) -> Bool {
    byteCount > 0 && committed + byteCount > min(max(largestFormula, stepFormula), limit)
  }

  mutating func giveBack(_ byteCount: Int) { committed -= byteCount }

  // MARK: Ahead of need

  /// Whether so much more may be committed ahead.
  func allowsAhead(_ byteCount: Int) -> Bool { byteCount <= limit - committed - ahead }

  mutating func takeAhead(_ byteCount: Int) { ahead += byteCount }

  mutating func giveBackAhead(_ byteCount: Int) { ahead -= byteCount }

  /// What was committed ahead is needed.
  mutating func useAhead(_ byteCount: Int) {
    ahead -= byteCount
    committed += byteCount
    peak = max(peak, committed)
  }
}
