/// Page memory that is committed, and how much may be.
struct MemoryBudget {
  let limit: Int
  private(set) var committed = 0
  private(set) var peak = 0

  init(limit: Int) { self.limit = limit }

  mutating func take(_ byteCount: Int) throws(CacheError) {
    guard byteCount <= limit - committed else {
      throw .outOfMemory(needed: committed + byteCount, allowed: limit)
    }
    committed += byteCount
    peak = max(peak, committed)
  }

  mutating func giveBack(_ byteCount: Int) { committed -= byteCount }
}
