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
}
