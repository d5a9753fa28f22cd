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
}
