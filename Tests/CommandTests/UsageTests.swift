import TestSupport
import Testing

@Suite("The command line")
struct UsageTests {
  @Test(
    "a wrong command line ends with status 64 and says what is allowed",
    arguments: [
      [], ["nonsense"], ["generate"], ["generate", "a", "b"], ["logits", "model", "--nonsense"],
      ["generate", "model", "--max-tokens", "-1"], ["generate", "model", "--temperature", "hot"],
      ["generate", "model", "--temperature", "-0.1"],
      ["generate", "model", "--temperature", "nan"],
      ["generate", "model", "--key-type", "f8"], ["generate", "model", "--value-type", ""],
      ["generate", "model", "--weight-type", "q4"], ["generate", "model", "--top-p", "1.5"],
      ["generate", "model", "--top-p", "0"], ["generate", "model", "--top-k", "-1"],
      ["generate", "model", "--min-p", "2"], ["generate", "model", "--repetition-penalty", "0"],
      ["generate", "model", "--maximum-context", "0"], ["generate", "model", "--seed", "-1"],
      ["generate", "model", "--seed", "18446744073709551616"], ["generate", "model", "--seed"],
      ["generate", "model", "--prompt", "x", "--threads", "0"],
      ["generate", "model", "--prompt", "x", "--prompt", "y"], ["generate", "model"],
      ["generate", "model", "--prompt", "x", "--prompt-file", "y"], ["logits", "model"],
      ["logits", "model", "--token-ids", "ids", "--json=yes"],
      ["logits", "model", "--token-ids", "ids", "--chunk", "0"],
      ["logits", "model", "--token-ids", "ids", "--chunk", "99999999999999999999"],
      ["logits", "model", "--token-ids", "ids", "--rope-factor", "4"],
      ["generate", "model", "--prompt", "a", "--full-precision-first", "4"],
      ["generate", "model", "--key-type", "int8", "--full-precision-first", "-1"],
      ["chat", "model", "--value-type", "int4", "--full-precision-last", "many"],
      ["logits", "model", "--key-type", "bf16", "--full-precision-last", "64"],
      ["stress", "ragged", "--full-precision-last", "64"],
      ["bench", "model", "file", "--full-precision-first", "64"],
      ["bench", "decode", "--key-type", "int8", "--full-precision-first", "64"],
      ["generate", "model", "--prompt", "a", "--memory-limit", "0"],
      ["generate", "model", "--prompt", "a", "--memory-limit", "1.5G"],
      ["chat", "model", "--memory-limit", "-1M"], ["chat", "model", "--memory-limit", ""],
      ["logits", "model", "--token-ids", "ids", "--memory-limit", "8388608T"],
      ["generate", "model", "--prompt", "a", "--extend-at", "100"],
      [
        "generate", "model", "--prompt", "a", "--rope-scaling", "linear", "--rope-factor", "2",
        "--extend-at", "0",
      ],
      ["logits", "model", "--token-ids", "ids", "--rope-scaling", "spiral"],
      ["logits", "model", "--token-ids", "ids", "--rope-scaling", "yarn"],
      ["logits", "model", "--token-ids", "ids", "--rope-scaling", "linear", "--rope-factor", "0"],
      ["chat"], ["chat", "model", "--max-tokens", "many"],
      ["topology", "extra"], ["topology", "--yaml"],
    ] as [[String]])
  func usage(arguments: [String]) throws {
    try Self.expectRefusal(of: arguments, saying: "attend")
  }

  /// A wrong command line: one line that holds `hint`, and where to read on.
  static func expectRefusal(of arguments: [String], saying hint: String) throws {
    let outcome = try Attend.run(arguments)
    #expect(outcome.exitStatus == 64)
    #expect(outcome.output.isEmpty)
    #expect((1...2).contains(outcome.errorLines.count), "\(outcome.errorText)")
    #expect(outcome.errorText.hasPrefix("attend: "))
    #expect(outcome.errorLines.last?.hasPrefix("see 'attend") == true)
    #expect(outcome.errorText.contains(hint), "\(outcome.errorText)")
  }

  @Test(
    "help goes to standard output",
    arguments: ["generate", "chat", "logits", "bench", "stress", "topology"])
  func help(command: String) throws {
    let overview = try Attend.run(["--help"])
    #expect(overview.exitStatus == 0)
    #expect(overview.text.contains(command))
    let outcome = try Attend.run([command, "--help"])
    #expect(outcome.exitStatus == 0)
    #expect(outcome.errorOutput.isEmpty)
    #expect(outcome.text.contains("USAGE: attend \(command)"))
    #expect(outcome.text.contains("--help"))
    #expect(outcome.text.split(separator: "\n").allSatisfy { $0.count <= 100 })
    if command != "topology" {
      for name in ["--full-precision-first", "--full-precision-last"] {
        #expect(outcome.text.contains(name))
      }
      #expect(outcome.text.contains("--memory-limit") == (command != "bench"))
    }
  }

  @Test("the version is one line")
  func version() throws {
    let outcome = try Attend.run(["--version"])
    #expect(outcome.exitStatus == 0)
    #expect(outcome.text.wholeMatch(of: /attend \d+\.\d+\.\d+\n/) != nil)
  }

  @Test("an unknown instruction set is refused, and a lower one computes the same to rounding")
  func instructionSets() throws {
    let folder = Fixtures.path("tiny/llama_default")
    let references = try SafetensorsFixture(path: folder + "/refs.safetensors")
    let ids = try references.integers("input_ids")
    let scratch = try TemporaryFolder()
    let file = try scratch.write(ids[..<300].map(String.init).joined(separator: " "), to: "ids")
    let arguments =
      ["logits", folder + "/llama_default.gguf", "--token-ids", file, "--logits-out"]
    let refused = try Attend.run(
      arguments + [scratch.path + "/refused"], environment: ["ATTEND_ISA": "mmx"])
    #expect(refused.exitStatus == 64)
    #expect(refused.errorText.contains("baseline"))
    let written = scratch.path + "/baseline"
    let outcome = try Attend.run(
      arguments + [written] + LogitsRun.single, environment: ["ATTEND_ISA": "baseline"])
    #expect(outcome.exitStatus == 0)
    let logits = try LogitsFile(path: written)
    let expected = try references.floats("logits_300")
    // As for the best instruction set: four times as far as Transformers' f32 run falls (TinyCheckpointTests).
    #expect(Distance(of: (0..<300).flatMap(logits.row), to: expected).maximum <= 4 * 1.164e-5)
  }
}
