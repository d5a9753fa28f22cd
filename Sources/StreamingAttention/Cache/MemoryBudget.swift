/// Page memory that is committed, and how much may be.
struct MemoryBudget {
  let limit: Int
  private(set) var committed = 0
  private(set) var peak = 0
  /// The largest value of the formula so far, and its value at the end of the step in progress.
  var largestFormula = 0
  var stepFormula = 0

  init(limit: Int) { self.limit = limit }

  mutating func take(_ byteCount: Int) throws(CacheError) {
    guard byteCount <= limit - committed else {
      throw .outOfMemory(needed: committed + byteCount, allowed: limit)
    }
    committed += byteCount
    peak = max(peak, committed)
  }

  /// Whether with so many bytes more the committed memory would be beyond what the formula has ever asked for, or refused.
  func passesFormula(by byteCount: Int) -> Bool {
    byteCount > 0 && committed + byteCount > min(max(largestFormula, stepFormula), limit)
  }

  mutating func giveBack(_ byteCount: Int) { committed -= byteCount }
}
