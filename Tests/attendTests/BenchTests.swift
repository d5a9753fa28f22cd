import Benchmarking
import Memory
import StreamingAttention
import Testing

@testable import attend

@Suite("How attend bench ends")
struct BenchTests {
  @Test("what is said of a wrong answer is true where nothing is planted")
  func wrongAnswer() {
    let message = CommandFailure(BenchmarkError.wrongAnswer).message
    #expect(message.contains("selfCheck") && !message.contains("planted"))
  }

  @Test(
    "every error has its status",
    arguments: [
      (.option(name: "--context", received: "0", allowed: "more"), .usage),
      (.data(path: "f", line: 1, reason: "empty"), .badData), (.output("closed"), .inputOutput),
      (.interrupted, .interrupted), (.wrongAnswer, .software),
      (.memory(.outOfMemory(byteCount: 1, placement: .anywhere)), .outOfResources),
      (.cache(.outOfMemory(needed: 2, allowed: 1)), .outOfResources),
      (.attention(.outOfMemory(byteCount: 1)), .outOfResources),
    ] as [(BenchmarkError, Memory.ExitStatus)])
  func status(error: BenchmarkError, status: Memory.ExitStatus) {
    #expect(CommandFailure(error).status == status)
  }
}
