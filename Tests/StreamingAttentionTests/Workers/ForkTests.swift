import Foundation
import Testing

@testable import StreamingAttention

@Suite struct ForkTests {
  /// fork(), which Swift does not import.
  private static func fork() -> pid_t {
    // SAFETY: the type is that of unistd.h.
    guard let symbol = unsafe dlsym(nil, "fork") else { return -1 }
    return unsafe unsafeBitCast(symbol, to: (@convention(c) () -> pid_t).self)()
  }

  @Test("a child after fork computes its steps alone and never hangs, in the middle of a step too")
  func child() throws {
    let threads = ProvidedThreads(count: 3)
    let workers = Workers(count: 2)
    #expect(IndexRecord(count: 50).run(on: threads.workers))
    #expect(IndexRecord(count: 50).run(on: workers))

    // Made before the fork: in the child the heap may be locked for ever by a thread that is not there.
    let records = [IndexRecord(count: 64), IndexRecord(count: 64), IndexRecord(count: 64)]
    let gate = DispatchSemaphore(value: 0)
    let isInside = DispatchSemaphore(value: 0)
    let running = IndexRecord(count: 2) { index, _ in
      isInside.signal()
      gate.wait()
    }
    let caller = Thread { [workers = threads.workers] in _ = running.run(on: workers) }
    caller.start()
    isInside.wait()

    let child = Self.fork()
    if child == 0 {
      let isComplete =
        records[0].run(on: threads.workers) && records[1].run(on: workers)
        && records[2].run(on: workers)
      _exit(isComplete ? 7 : 8)
    }
    #expect(child > 0)
    gate.signal()
    gate.signal()
    var status: Int32 = 0
    let deadline = ContinuousClock.now + .seconds(20)
    while unsafe waitpid(child, &status, WNOHANG) == 0 {
      if ContinuousClock.now > deadline { kill(child, SIGKILL) }
      usleep(1_000)
    }
    #expect(status == 7 << 8)
    #expect(records[0].timesTaken.allSatisfy { $0 == 0 }, "the child has a memory of its own")
    #expect(records[0].run(on: threads.workers), "the parent goes on")
  }
}
