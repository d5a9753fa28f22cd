import Benchmarking
import Memory
import StreamingAttention
import Testing

@testable import attend

@Suite("How attend bench ends")
struct BenchTests {
  @Test("a wrong answer is 70")
  func wrongAnswer() throws {
    #expect(throws: Never.self) { try BenchRun.conclude(allPassed: true) }
    let failure = #expect(throws: CommandFailure.self) { try BenchRun.conclude(allPassed: false) }
    #expect(failure?.status == .software)
  }

  @Test(
    "every error has its status",
    arguments: [
      (.option(name: "--context", received: "0", allowed: "more"), .usage),
      (.data(path: "f", line: 1, reason: "empty"), .badData), (.output("closed"), .inputOutput),
      (.interrupted, .interrupted),
      (.memory(.outOfMemory(byteCount: 1, placement: .anywhere)), .outOfResources),
      (.cache(.outOfMemory(needed: 2, allowed: 1)), .outOfResources),
      (.attention(.outOfMemory(byteCount: 1)), .outOfResources),
    ] as [(BenchmarkError, attend.ExitStatus)])
  func status(error: BenchmarkError, status: attend.ExitStatus) {
    #expect(CommandFailure(error).status == status)
  }
}
