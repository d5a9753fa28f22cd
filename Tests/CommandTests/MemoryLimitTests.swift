import Foundation
import TestSupport
import Testing

@Suite("--memory-limit")
struct MemoryLimitTests {
  private func run(_ words: [String], input: String = "") throws -> Outcome {
    try Attend.run([words[0], try Models.smolLM2()] + words.dropFirst(), input: input)
  }

  @Test("is refused in the words of stress")
  func words() throws {
    for command in [
      ["generate", "model"], ["chat", "model"], ["logits", "model"], ["stress", "growth"],
    ] {
      let rest = command[0] == "logits" ? ["--token-ids", "ids"] : []
      try UsageTests.expectRefusal(
        of: command + rest + ["--memory-limit", "much"],
        saying: "--memory-limit is 'much'; allowed: bytes, such as 1073741824, 512M or 8G, above 0")
    }
  }

  @Test("changes nothing where there is enough, however much that is")
  func enough() throws {
    let prompt = ["generate", "--prompt", "The planets of", "--max-tokens", "4"]
    let whole = try run(prompt)
    for limit in ["64M", "62914560", "8388607T"] {
      let limited = try run(prompt + ["--memory-limit", limit])
      #expect(limited.exitStatus == 0 && limited.text == whole.text, "\(limited.errorText)")
    }
  }

  @Test("ends with 71 where a prompt does not fit, and nothing is written")
  func tooSmall() throws {
    let folder = try TemporaryFolder()
    // 30 layers take 2 MiB each for the first tokens; whoever allows them is not refused again.
    let needed = "at least 62914560 bytes"
    let limits = [
      ("32M", "may use 33554432"), ("1", "may use 1;"), ("62914559", needed), ("1", needed),
    ]
    for (limit, reason) in limits {
      let options = ["--memory-limit", limit, "--session", folder.path + "/talk"]
      let generated = try run(["generate", "--prompt", "The planets of"] + options)
      let answered = try run(["chat"] + options, input: "Hello\n")
      for outcome in [generated, answered] {
        #expect(
          outcome.exitStatus == 71 && outcome.errorText.contains(reason), "\(outcome.errorText)")
        #expect(outcome.output.isEmpty && outcome.errorLines.count == 1)
      }
    }
    let ids = try folder.write("1 2 3", to: "ids")
    let logits = try run([
      "logits", "--token-ids", ids, "--memory-limit", "32M", "--logits-out",
      folder.path + "/logits",
    ])
    #expect(logits.exitStatus == 71 && logits.output.isEmpty, "\(logits.errorText)")
    #expect(try folder.names() == ["ids"])
  }

  @Test("leaves a session that does not fit as it was")
  func session() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/talk"
    let options = ["generate", "--max-tokens", "2", "--session", path]
    #expect(try run(options + ["--prompt", "The planets of"]).exitStatus == 0)
    let before = try Data(contentsOf: URL(fileURLWithPath: path))
    let refused = try run(options + ["--memory-limit", "16M"])
    #expect(refused.exitStatus == 71 && refused.output.isEmpty, "\(refused.errorText)")
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
    #expect(try run(options + ["--memory-limit", "1G"]).exitStatus == 0)
  }
}
