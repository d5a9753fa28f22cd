import Foundation
import TestSupport
import Testing

/// What a shell may take from a process before it starts.
@Suite("A process of few means")
struct ShellTests {
  /// Runs `attend` after `setting`, in a shell that then becomes it.
  private func run(_ words: [String], setting: String = ":", redirections: String = "") throws
    -> Outcome
  {
    let process = try ChildProcess(
      path: "/bin/sh",
      arguments: ["-c", "\(setting); exec \"$0\" \"$@\" \(redirections)", Attend.path] + words)
    process.closeInput()
    return process.wait()
  }

  @Test(
    "too little address space is 71, and says what to raise",
    arguments: [["bench", "edits", "--context", "8K"], ["bench", "decode", "--context", "8K"]])
  func addressSpace(words: [String]) throws {
    // The cache of edits reserves 128 GiB, that of decode twice what it may commit.
    let outcome = try run(
      words + ["--key-type", "f16"],
      setting: "ulimit -v $((2 << 20))")
    #expect(outcome.exitStatus == 71)
    #expect(outcome.errorText.contains("address space"), "\(outcome.errorText)")
    #expect(outcome.errorText.contains("ulimit -v") && outcome.errorLines.count == 1)
    #expect(!outcome.errorText.contains("shorten"))
  }

  @Test(
    "a closed standard output is 74, whatever has been asked",
    arguments: [
      ["--version"], ["--help"], ["topology"], ["bench", "fork-join", "--repeat", "5"],
      ["bench", "--help"],
    ])
  func closedOutput(words: [String]) throws {
    for redirections in [">&-", "<&- >&-"] {
      let outcome = try run(words, redirections: redirections)
      #expect(outcome.exitStatus == 74)
      #expect(
        outcome.errorText == "attend: standard output is closed, or open for reading only\n")
    }
  }

  @Test("a file that is opened in place of a closed stream gets what belongs to it, and no more")
  func savedWithoutStreams() throws {
    let folder = try TemporaryFolder()
    for (redirections, status) in [
      ("<&-", 0), ("2>&-", 0), ("<&- 2>&-", 0), ("<&- >&- 2>&-", 74),
    ] as [(String, Int32)] {
      let path = folder.path + "/saved"
      let outcome = try run(
        ["bench", "fork-join", "--repeat", "5", "--threads", "1", "--save", path],
        redirections: redirections)
      #expect(outcome.exitStatus == status, "\(redirections)")
      let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      #expect(lines.count == 2 && lines.allSatisfy { $0.hasPrefix("{\"operation\":\"") })
    }
  }

  @Test("a closed standard input is at its end")
  func closedInput() throws {
    let outcome = try run(
      ["chat", try Models.smolLM2(), "--max-tokens", "1"], redirections: "<&-")
    #expect(outcome.exitStatus == 0 && outcome.output.isEmpty, "\(outcome.errorText)")
  }
}
