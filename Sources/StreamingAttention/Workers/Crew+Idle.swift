import Dispatch
import Glibc
import Memory
import Synchronization

extension Crew {
  /// What a worker does from its beginning to its end: steps, then waiting for the next.
  ///
  /// Returns when the crew is stopped, or when `patience` has passed without a step.
  func serve(as worker: Int, patience: DispatchTimeInterval) {
    while !isStopped.load(ordering: .acquiring) {
      if hasWork || spin() {
        takeIndices(as: worker)
      } else if park(patience) {
        // A caller wakes few, and those wake the rest, so that it gets to its own indices soon.
        wake(2)
      } else {
        return
      }
    }
  }

  /// How long an idle worker keeps its CPU: longer than the gap between two layers, shorter than anyone's patience.
  private static let spinNanoseconds = 1_000_000

  /// How long it looks at nothing else: steps of one layer follow each other sooner.
  private static let aloneNanoseconds = 50_000

  /// Waits for a step without sleeping, and after a while only while nobody else wants the CPU; false when the time is up.
  private func spin() -> Bool {
    let start = Self.nanoseconds()
    var waited = 0
    repeat {
      for _ in 0..<64 {
        if hasWork || isStopped.load(ordering: .relaxed) { return true }
        pauseWhileWaiting()
      }
      if waited > Self.aloneNanoseconds { sched_yield() }
      waited = Self.nanoseconds() - start
    } while waited < Self.spinNanoseconds
    return false
  }

  /// Sleeps until woken; false when `patience` ran out first.
  ///
  /// A parked worker is one of `parked`. Whoever lowers that number owes one signal, unless it is the worker itself.
  private func park(_ patience: DispatchTimeInterval) -> Bool {
    parked.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
    if hasWork || isStopped.load(ordering: .sequentiallyConsistent) {
      if !takeParked() { semaphore.wait() }
      return true
    }
    if semaphore.wait(timeout: .now() + patience) == .success { return true }
    if takeParked() { return false }
    semaphore.wait()
    return true
  }

  /// Lowers `parked` by one; false where it is 0.
  private func takeParked() -> Bool {
    var current = parked.value.load(ordering: .sequentiallyConsistent)
    while current > 0 {
      let (exchanged, found) = parked.value.compareExchange(
        expected: current, desired: current - 1, ordering: .sequentiallyConsistent)
      if exchanged { return true }
      current = found
    }
    return false
  }

  /// Wakes up to `most` parked workers, but no more than 4: those wake others.
  func wake(_ most: Int) {
    var left = min(most, 4)
    while left > 0, hasWork, takeParked() {
      semaphore.signal()
      left -= 1
    }
  }

  /// Ends all workers; those inside a step finish it first.
  func stop() {
    isStopped.store(true, ordering: .sequentiallyConsistent)
    while takeParked() { semaphore.signal() }
  }

  private static func nanoseconds() -> Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}
