import Memory
import Benchmarking
import StreamingAttention
import Stress
import Testing

@testable import attend

@Suite("How attend stress ends")
struct StressTests {
  @Test("a check that fails is 70, with its step and the command that replays it")
  func failedCheck() {
    let failure = StressCommand.conclude(
      .failed("sequence 3 has 7 tokens"), steps: 12, replay: "attend stress ragged --seed 5")
    #expect(failure.status == .software)
    for word in ["step 12", "sequence 3 has 7 tokens", "attend stress ragged --seed 5"] {
      #expect(failure.message.contains(word))
    }
  }

  @Test("what stops a run keeps its status")
  func stopped() {
    let interrupted = StressCommand.conclude(.stopped(.interrupted), steps: 1, replay: "")
    #expect(interrupted.status == .interrupted)
    let memory = StressCommand.conclude(
      .stopped(.cache(.outOfMemory(needed: 2, allowed: 1))), steps: 1, replay: "")
    #expect(memory.status == .outOfResources)
  }
}
