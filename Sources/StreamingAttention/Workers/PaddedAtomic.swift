import Synchronization

/// An atomic value with two cache lines to itself: x86-64 prefetches lines in pairs.
struct PaddedAtomic<Value: AtomicRepresentable>: ~Copyable {
  let value: Atomic<Value>
  private let padding = InlineArray<15, UInt64>(repeating: 0)

  init(_ initialValue: consuming Value) { value = Atomic(initialValue) }
}

extension PaddedAtomic: Sendable where Value: Sendable {}
