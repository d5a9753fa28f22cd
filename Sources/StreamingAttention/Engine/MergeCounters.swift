import Synchronization

/// One counter for each inner node of the trees of partial states: 0, or 1 when one child has arrived.
///
/// Whoever arrives second sets it back, so that the next layer finds zeros.
@safe struct MergeCounters: ~Copyable {
  private(set) var count: Int
  private(set) var baseAddress: UnsafeMutablePointer<Atomic<UInt32>>

  init() {
    count = 0
    unsafe baseAddress = .allocate(capacity: 1)
  }

  /// Makes room for `needed` counters, all zero; the contents are zero between runs anyway.
  mutating func reserve(_ needed: Int) {
    if needed <= count { return }
    unsafe baseAddress.deinitialize(count: count)
    unsafe baseAddress.deallocate()
    count = max(needed, 2 * count)
    unsafe baseAddress = .allocate(capacity: count)
    reset()
  }

  /// Sets all to zero after a run that was cancelled half-way.
  mutating func reset() {
    for index in 0..<count {
      // SAFETY: `count` counters were allocated; an Atomic<UInt32> needs no deinitialisation before it is set anew.
      unsafe (baseAddress + index).initialize(to: Atomic(0))
    }
  }

  deinit {
    unsafe baseAddress.deinitialize(count: count)
    unsafe baseAddress.deallocate()
  }
}
