import Glibc

/// A monotonic clock, read in about 25 ns.
enum Stopwatch {
  /// Nanoseconds since some moment in the past.
  static var now: UInt64 { clock_gettime_nsec(CLOCK_MONOTONIC) }

  /// CPU time of all threads of this process so far, in nanoseconds.
  static var processCPU: UInt64 { clock_gettime_nsec(CLOCK_PROCESS_CPUTIME_ID) }

  private static func clock_gettime_nsec(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(clock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Nanoseconds that `body` takes.
  static func time<Failure: Error>(_ body: () throws(Failure) -> Void) throws(Failure) -> UInt64 {
    let start = now
    try body()
    return now - start
  }
}
