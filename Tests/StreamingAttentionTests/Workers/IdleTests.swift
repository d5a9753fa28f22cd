import Foundation
import Testing

@testable import StreamingAttention

@Suite struct IdleTests {
  @Test("5 ms after a step its workers use no CPU")
  func idleWorkers() async {
    // A process of its own, so that nothing else is counted.
    await #expect(processExitsWith: .exitCode(7)) {
      let workers = Workers(count: 4)
      let record = IndexRecord(count: 2_000) { _, _ in usleep(10) }
      precondition(record.run(on: workers))
      func cpuMicroseconds() -> Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
      }
      usleep(5_000)
      let before = cpuMicroseconds()
      usleep(400_000)
      // Spinning would use 400,000 and more; waking up once per worker and the clocks' grain, some hundreds.
      _exit(cpuMicroseconds() - before < 20_000 ? 7 : 8)
    }
  }
}
