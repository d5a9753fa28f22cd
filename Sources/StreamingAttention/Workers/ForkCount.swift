import Glibc
import Synchronization

/// How many times this process or an ancestor has been forked since threads were first needed.
///
/// A child has none of its parent's threads, and Dispatch is of no use in it; objects remember the count they
/// were made under.
enum ForkCount {
  private static let count: Atomic<Int> = Atomic(0)
  private static let isWatched: Bool = {
    pthread_atfork(nil, nil) { ForkCount.count.wrappingAdd(1, ordering: .relaxed) } == 0
  }()

  /// The count now; the first call begins to count.
  static func begin() -> Int {
    precondition(isWatched, "pthread_atfork failed for lack of memory")
    return current
  }

  static var current: Int { count.load(ordering: .relaxed) }
}
