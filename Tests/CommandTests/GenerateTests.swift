import Foundation
import TestSupport
import Testing

@Suite("attend generate")
struct GenerateTests {
  static func run(_ options: [String], input: String = "") throws -> Outcome {
    try Attend.run(["generate", try Models.smolLM2()] + options, input: input)
  }

  @Test("the answer alone is on standard output, the figures on standard error")
  func streams() throws {
    let outcome = try Self.run(["--prompt", "The capital of France is", "--max-tokens", "12"])
    #expect(outcome.exitStatus == 0)
    #expect(outcome.text.contains("Paris"))
    #expect(outcome.text.hasSuffix("\n"))
    let line = try #require(outcome.errorLines.first)
    #expect(outcome.errorLines.count == 1)
    let pattern =
      /5 prompt tokens, [\d.]+ tokens\/s; 12 answer tokens, [\d.]+ tokens\/s; first token after [\d.]+ s; cache peak [\d.]+ MiB/
    #expect(line.wholeMatch(of: pattern) != nil, "\(line)")
  }

  @Test("a prompt is the same as an argument, from a file and from standard input")
  func prompts() throws {
    let text = "Once upon a time, a žluťoučký kůň"
    let folder = try TemporaryFolder()
    let file = try folder.write(text, to: "prompt.txt")
    let expected = try Self.run(["--prompt", text, "--max-tokens", "8"]).output
    #expect(expected.count > 1)
    #expect(try Self.run(["--prompt-file", file, "--max-tokens", "8"]).output == expected)
    let piped = try Self.run(["--prompt-file", "-", "--max-tokens", "8"], input: text)
    #expect(piped.output == expected)
  }

  @Test("one seed gives one text for any number of threads; another seed another one")
  func seeds() throws {
    func text(seed: Int, threads: Int) throws -> String {
      let outcome = try Self.run(
        ["--prompt", "My favourite animal is", "--max-tokens", "24", "--temperature", "1"]
          + ["--top-p", "0.95", "--seed", "\(seed)", "--threads", "\(threads)"])
      #expect(outcome.exitStatus == 0)
      return outcome.text
    }
    let first = try text(seed: 7, threads: 1)
    for threads in 2...3 { #expect(try text(seed: 7, threads: threads) == first) }
    #expect(try text(seed: 8, threads: 2) != first)
  }

  @Test("a long prompt that is interrupted ends with status 130 within half a second")
  func interruptInPrompt() throws {
    let folder = try TemporaryFolder()
    let words = String(repeating: "And it came to pass in those days. ", count: 900)
    let process = try Attend.start([
      "generate", try Models.smolLM2(), "--prompt-file", try folder.write(words, to: "prompt.txt"),
    ])
    // By then the model is loaded and a chunk is being read; the whole prompt takes many seconds.
    Thread.sleep(forTimeInterval: 2)
    let clock = ContinuousClock()
    let sent = clock.now
    process.send(SIGINT)
    let outcome = process.wait()
    #expect(outcome.exitStatus == 130)
    // Half a second to stop, and as much again for the process to give back its memory on a busy machine.
    #expect(clock.now - sent < .seconds(1))
    #expect(outcome.errorLines.last == "attend: interrupted", "\(outcome.errorText)")
    #expect(outcome.text.trimmingCharacters(in: .newlines).isEmpty)
  }

  @Test("an answer that is interrupted keeps what was written")
  func interruptInAnswer() throws {
    let process = try Attend.start([
      "generate", try Models.smolLM2(), "--prompt", "Count: 1, 2, 3, 4,", "--max-tokens", "4000",
    ])
    #expect(process.waitForOutput { $0.count > 20 })
    process.send(SIGINT)
    let outcome = process.wait()
    #expect(outcome.exitStatus == 130)
    #expect(outcome.errorLines.last == "attend: interrupted")
    #expect(String(validating: outcome.output, as: UTF8.self) != nil)
  }
}
