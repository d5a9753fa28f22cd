import Synchronization

/// Asks running work to stop at its next opportunity; may be set from any thread.
///
/// A flag stays set until it is reset.
public final class CancellationFlag: Sendable {
  let flag = Atomic(false)

  /// A flag that is not set.
  public init() {}

  /// Asks whoever looks at this flag to stop.
  public func cancel() { flag.store(true, ordering: .releasing) }

  /// Whether `cancel` has been called since the last `reset`.
  public var isCancelled: Bool { flag.load(ordering: .acquiring) }

  /// Makes the flag fit for the next piece of work.
  public func reset() { flag.store(false, ordering: .releasing) }
}
