import Glibc

/// A monotonic clock, read in about 25 ns.
package enum Stopwatch {
  /// Nanoseconds since some moment in the past.
  package static var now: UInt64 { nanoseconds(of: CLOCK_MONOTONIC) }

  /// CPU time of all threads of this process so far, in nanoseconds.
  static var processCPU: UInt64 { nanoseconds(of: CLOCK_PROCESS_CPUTIME_ID) }

  private static func nanoseconds(of clock: clockid_t) -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Sleeps.
  static func sleep(milliseconds: Int) {
    var time = timespec(
      tv_sec: milliseconds / 1_000, tv_nsec: milliseconds % 1_000 * 1_000_000)
    // An interrupt shortens the sleep; callers measure how long it was.
    unsafe nanosleep(&time, nil)
  }

  /// Sleeps, for less than a second.
  package static func sleep(microseconds: UInt64) {
    var time = timespec(tv_sec: 0, tv_nsec: Int(min(microseconds, 999_999)) * 1_000)
    unsafe nanosleep(&time, nil)
  }

  /// Nanoseconds that `body` takes.
  package static func time<Failure: Error>(_ body: () throws(Failure) -> Void) throws(Failure)
    -> UInt64
  {
    let start = now
    try body()
    return now - start
  }
}
