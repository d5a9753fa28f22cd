import Synchronization

/// Asks running work to stop at its next opportunity; may be set from any thread.
///
/// A flag stays set until it is reset.
@safe public final class CancellationFlag: Sendable {
  /// Outside of the object, so that a step looks at it without retaining anything.
  // SAFETY: an initialised atomic, freed in `deinit`; whoever keeps the pointer keeps the flag alive.
  nonisolated(unsafe) let flag: UnsafeMutablePointer<Atomic<Bool>>

  /// A flag that is not set.
  public init() {
    unsafe flag = .allocate(capacity: 1)
    unsafe flag.initialize(to: Atomic(false))
  }

  deinit {
    unsafe flag.deinitialize(count: 1)
    unsafe flag.deallocate()
  }

  /// Asks whoever looks at this flag to stop.
  public func cancel() { unsafe flag.pointee.store(true, ordering: .releasing) }

  /// Whether `cancel` has been called since the last `reset`.
  public var isCancelled: Bool { unsafe flag.pointee.load(ordering: .acquiring) }

  /// Makes the flag fit for the next piece of work.
  public func reset() { unsafe flag.pointee.store(false, ordering: .releasing) }
}
