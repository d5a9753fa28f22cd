/// The merges of a vocabulary: which pairs of neighbouring tokens become one, and in which order.
///
/// Open addressing over pairs, at most half full, with a hash seeded anew for every table.
struct MergeTable: Sendable {
  /// No merge.
  static let none = UInt32.max
  /// The most merges that ranks are packed for, see `PieceMerger`.
  static let limit = 1 << 24

  /// Left token × 2³² + right token, or all ones where free.
  ///
  /// The count is a power of two.
  private var pairs: [UInt64]
  /// The rank of the pair in the same slot.
  private var ranks: [UInt32]
  /// What each rank's pair becomes.
  private(set) var results: [Int32] = []
  private let seed = UInt64.random(in: .min ... .max)

  init(capacity: Int) {
    let slotCount = max(2, 1 << (Int.bitWidth - (2 * capacity).leadingZeroBitCount))
    pairs = [UInt64](repeating: .max, count: slotCount)
    ranks = [UInt32](repeating: Self.none, count: slotCount)
    results.reserveCapacity(capacity)
  }

  /// Adds the next merge; a pair that has one already keeps it.
  mutating func append(_ left: Int32, _ right: Int32, result: Int32) {
    let slot = slot(of: left, right)
    if pairs[slot] == .max {
      pairs[slot] = key(left, right)
      ranks[slot] = UInt32(results.count)
    }
    results.append(result)
  }

  /// The rank of a pair, lower ones merging first; `none` where it does not merge.
  func rank(_ left: Int32, _ right: Int32) -> UInt32 {
    left < 0 || right < 0 ? Self.none : ranks[slot(of: left, right)]
  }

  private func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  private func slot(of left: Int32, _ right: Int32) -> Int {
    let key = key(left, right)
    var slot = Int(truncatingIfNeeded: mixed(seed, key)) & (pairs.count - 1)
    while pairs[slot] != .max, pairs[slot] != key { slot = (slot + 1) & (pairs.count - 1) }
    return slot
  }
}
