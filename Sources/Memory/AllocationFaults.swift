import Synchronization

/// Lets one request for memory fail, so that tests see that nothing half-done stays behind.
///
/// Requests are counted while it is the task's current one: every buffer, and every range of a region that is committed.
package final class AllocationFaults: Sendable {
  /// The faults of this task; nil, as nearly always, for none.
  @TaskLocal package static var current: AllocationFaults?

  private let failing: Int
  private let requests = Atomic<Int>(0)

  /// Lets request number `failing` fail, counted from 1; none if nil.
  package init(failing: Int? = nil) { self.failing = failing ?? 0 }

  /// Requests so far.
  package var requestCount: Int { requests.load(ordering: .relaxed) }

  /// Whether the request that is being made is to fail.
  static var isDue: Bool {
    guard let current else { return false }
    return current.requests.add(1, ordering: .relaxed).newValue == current.failing
  }
}
