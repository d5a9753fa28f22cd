/// Numbers handed out and taken back, the last that came back first of all.
///
/// Giving back in reverse order undoes taking: the same numbers are handed out again in the same order.
struct NumberPool: ~Copyable {
  private(set) var free = GrowingTable<Int32>()
  /// All numbers ever handed out are below it.
  private(set) var count = 0

  var usedCount: Int { count - free.count }

  /// Makes sure that `take` and every later `giveBack` succeed without memory.
  mutating func prepare() throws(CacheError) {
    try free.reserveCapacity(count + 1)
  }

  /// - Precondition: `prepare()` was called since the last `take()`.
  mutating func take() -> Int32 {
    guard free.count > 0 else {
      count += 1
      return Int32(count - 1)
    }
    defer { free.removeLast() }
    return free[free.count - 1]
  }

  mutating func giveBack(_ number: Int32) { free.append(number) }
}
