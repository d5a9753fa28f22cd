import Foundation
import TestSupport
import Testing

/// Control-C at every stage of a run.
@Suite("Interrupts", .serialized)
struct GenerateInterruptTests {
  /// Sends a signal and checks that the command ends by it, soon and saying so.
  @discardableResult
  private func interrupt(_ process: ChildProcess, by signal: Int32 = SIGINT) -> Outcome {
    let sent = ContinuousClock.now
    process.send(signal)
    let outcome = process.wait()
    #expect(outcome.exitStatus == (signal == SIGTERM ? 143 : 130))
    #expect(ContinuousClock.now - sent < .milliseconds(500))
    let word = signal == SIGTERM ? "terminated" : "interrupted"
    #expect(outcome.errorLines.last == "attend: \(word)", "\(outcome.errorText)")
    return outcome
  }

  private func startLongPrompt(in folder: TemporaryFolder) throws -> ChildProcess {
    let words = String(repeating: "And it came to pass in those days. ", count: 900)
    return try Attend.start([
      "generate", try Models.smolLM2(), "--prompt-file", try folder.write(words, to: "prompt.txt"),
    ])
  }

  @Test("while a long prompt is read, nothing is written")
  func inThePrompt() throws {
    let folder = try TemporaryFolder()
    let process = try startLongPrompt(in: folder)
    // Loading takes some tenths of a second, the prompt many seconds.
    Thread.sleep(forTimeInterval: 3)
    let outcome = interrupt(process)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errorLines.count == 1)
  }

  @Test("while the model loads, the command ends at once")
  func whileLoading() throws {
    let folder = try TemporaryFolder()
    let process = try startLongPrompt(in: folder)
    Thread.sleep(forTimeInterval: 0.15)
    let sent = ContinuousClock.now
    process.send(SIGINT)
    let outcome = process.wait()
    // On a busy machine the command may not have begun to listen; then the signal itself ends it.
    #expect(outcome.exitStatus == 130 || outcome.signal == SIGINT)
    #expect(ContinuousClock.now - sent < .milliseconds(500))
    #expect(outcome.output.isEmpty)
  }

  @Test(
    "in an answer, its text ends with a line end of its own", arguments: ["generate", "chat"],
    [SIGINT, SIGTERM])
  func inTheAnswer(command: String, signal: Int32) throws {
    let process = try Attend.start(
      [command, try Models.smolLM2(), "--max-tokens", "4000"]
        + (command == "generate" ? ["--prompt", "Count: 1, 2, 3, 4,"] : []))
    process.write("Write a long story about a parrot.\n")
    #expect(process.waitForOutput { $0.count > 20 })
    let outcome = interrupt(process, by: signal)
    #expect(outcome.text.count > 20)
    #expect(outcome.text.hasSuffix("\n"))
  }

  @Test("while chat waits for a line, it ends at once", arguments: [SIGINT, SIGTERM])
  func waiting(signal: Int32) throws {
    let process = try Attend.start(["chat", try Models.smolLM2(), "--max-tokens", "3"])
    process.write("Hello\n")
    #expect(process.waitForOutput { $0.last == UInt8(ascii: "\n") })
    let outcome = interrupt(process, by: signal)
    #expect(outcome.text.count { $0 == "\n" } == 1)
  }
}
