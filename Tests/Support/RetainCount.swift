import CAllocationCount

/// Counts the retains that a stretch of code asks of the Swift runtime.
///
/// Only calls from the test binary itself are seen, which holds all code of this package; those inside the
/// runtime's own libraries are not.
package enum RetainCount {
  /// False under the sanitizers, and where the runtime's calling convention is not C's.
  package static var isAvailable: Bool { retain_counting_is_available() }

  /// Retains by the calling thread since it began; take two readings and subtract.
  package static var ofThisThread: Int { Int(retain_count_of_this_thread()) }

  /// How often `body` retained on the calling thread.
  package static func during<E: Error>(_ body: () throws(E) -> Void) throws(E) -> Int {
    let before = retain_count_of_this_thread()
    try body()
    return Int(retain_count_of_this_thread() - before)
  }
}
