import Foundation
import StreamingAttention

/// Cancels from another thread after a while.
final class DelayedCancellation: Sendable {
  private let isOver = DispatchSemaphore(value: 0)

  init(_ flag: CancellationFlag, microseconds: Int) {
    let thread = Thread { [isOver] in
      usleep(UInt32(microseconds))
      flag.cancel()
      isOver.signal()
    }
    thread.start()
  }

  func wait() { isOver.wait() }
}
