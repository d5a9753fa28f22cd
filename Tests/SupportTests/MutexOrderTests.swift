import Foundation
import Synchronization
import TestSupport
import Testing

@Suite("Locks under the thread sanitizer")
struct MutexOrderTests {
  private final class Counter: Sendable {
    let value = Mutex(0)
  }

  @Test("a contended mutex orders its critical sections, in the sanitizer's eyes too")
  func contendedMutex() {
    let counter = Counter()
    let finished = DispatchSemaphore(value: 0)
    for _ in 0..<4 {
      Thread {
        for _ in 0..<20_000 { counter.value.withLock { $0 += 1 } }
        finished.signal()
      }.start()
    }
    for _ in 0..<4 { finished.wait() }
    #expect(counter.value.withLock { $0 } == 80_000)
  }
}
