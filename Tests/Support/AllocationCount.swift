import CAllocationCount

/// Counts what a stretch of code asks of the heap.
///
/// Suites run side by side in one process, so the count of the calling thread is the one to assert on;
/// a test over several workers hands in threads of its own and lets each count its part.
package enum AllocationCount {
  /// False under the address and thread sanitizers, whose own heap replaces the counted one.
  package static var isAvailable: Bool { allocation_counting_is_available() }

  /// Allocations of the calling thread since it began; take two readings and subtract.
  package static var ofThisThread: Int { Int(allocation_count_of_this_thread()) }

  /// Allocations of the whole process; only meaningful while nothing else runs.
  package static var ofProcess: Int { Int(allocation_count_of_process()) }

  /// How often `body` allocated on the calling thread.
  ///
  /// malloc, calloc, realloc, memalign, aligned_alloc and posix_memalign count once each.
  package static func during<E: Error>(_ body: () throws(E) -> Void) throws(E) -> Int {
    let before = allocation_count_of_this_thread()
    try body()
    return Int(allocation_count_of_this_thread() - before)
  }
}
