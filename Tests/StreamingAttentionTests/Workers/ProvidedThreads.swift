import Foundation

@testable import StreamingAttention

/// Workers whose threads the test brings, so that there are as many as asked for on any machine.
final class ProvidedThreads: Sendable {
  let workers: Workers
  private let isOver = DispatchGroup()

  init(count: Int, sharing: Workers.Sharing = .everyWorkerOnce) {
    workers = Workers(count: count, executors: .provided, sharing: sharing)
    for _ in 1..<max(count, 1) {
      let thread = Thread { [workers, isOver] in
        workers.participate()
        isOver.leave()
      }
      isOver.enter()
      thread.start()
    }
    while workers.liveCount < count - 1 { usleep(100) }
  }

  /// Ends the threads; true when all of them have ended soon.
  @discardableResult
  func stop() -> Bool {
    workers.stop()
    return isOver.wait(timeout: .now() + 20) == .success
  }

  deinit { stop() }
}
