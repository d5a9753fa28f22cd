import Foundation
import TestSupport
import Testing

@Suite("Bad input ends with one line and the right status")
struct BadInputTests {
  /// A model that loads at once.
  private static let tiny = Fixtures.path("tiny/llama_default/llama_default.gguf")

  private func expect(_ outcome: Outcome, status: Int32, saying word: String) {
    #expect(outcome.exitStatus == status)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errorLines.count == 1, "\(outcome.errorText)")
    #expect(outcome.errorText.hasPrefix("attend: "))
    #expect(outcome.errorText.contains(word), "\(outcome.errorText)")
  }

  @Test(
    "a missing file is named",
    arguments: [
      ["generate", "/nowhere/model.gguf", "--prompt", "x"], ["chat", "/nowhere/model.gguf"],
      ["generate", "/nowhere/model.gguf", "--prompt-file", "/nowhere/text"],
      ["logits", "/nowhere/model.gguf", "--token-ids", "/nowhere/ids"],
    ])
  func missingFile(arguments: [String]) throws {
    expect(try Attend.run(arguments), status: 66, saying: "/nowhere/")
  }

  @Test("a folder is no model and no text")
  func folders() throws {
    let folder = try TemporaryFolder()
    expect(
      try Attend.run(["generate", folder.path, "--prompt", "x"]), status: 66, saying: "directory")
    expect(
      try Attend.run(["logits", Self.tiny, "--token-ids", folder.path]), status: 66,
      saying: "directory")
  }

  @Test("an error stays on its line, whatever was typed")
  func oneLine() throws {
    let usage = try Attend.run(["logits", Self.tiny, "--threads", "1\n2\u{1B}[31m"])
    #expect(usage.exitStatus == 64)
    #expect(usage.errorLines.count == 2, "\(usage.errorText)")
    #expect(!usage.errorText.contains("\u{1B}"))
    let folder = try TemporaryFolder()
    let ids = try folder.write([0x78], to: "odd\nname")
    expect(
      try Attend.run(["logits", Self.tiny, "--token-ids", ids]), status: 65, saying: "odd\\nname")
  }

  @Test("logits never replace what they are made from")
  func inputAsOutput() throws {
    let folder = try TemporaryFolder()
    let ids = try folder.write(Array("1 2 3".utf8), to: "ids")
    let outcome = try Attend.run(
      ["logits", Self.tiny, "--token-ids", ids, "--logits-out", ids])
    #expect(outcome.exitStatus == 64)
    #expect(outcome.errorText.contains("would replace"))
    #expect(try String(contentsOfFile: ids, encoding: .utf8) == "1 2 3")
  }

  @Test("a model without a tokenizer cannot generate")
  func noTokenizer() throws {
    expect(try Attend.run(["generate", Self.tiny, "--prompt", "x"]), status: 65, saying: Self.tiny)
    expect(try Attend.run(["chat", Self.tiny], input: "x\n"), status: 65, saying: Self.tiny)
  }

  @Test("a prompt that is empty, no UTF-8 or too long")
  func prompts() throws {
    expect(try GenerateTests.run(["--prompt", ""]), status: 65, saying: "empty")
    let folder = try TemporaryFolder()
    let file = try folder.write([0x68, 0xFF, 0x69], to: "prompt")
    expect(try GenerateTests.run(["--prompt-file", file]), status: 65, saying: "UTF-8")
    expect(
      try GenerateTests.run(["--prompt", "one two three", "--maximum-context", "2"]), status: 65,
      saying: "--maximum-context")
  }

  @Test("the context ends an answer; what fits is written")
  func contextEnds() throws {
    let outcome = try GenerateTests.run(
      ["--prompt", "Count: 1, 2, 3, 4,", "--maximum-context", "20", "--max-tokens", "100"])
    #expect(outcome.exitStatus == 0)
    #expect(outcome.errorLines.count == 1)
    #expect(outcome.output.count > 1)
  }

  @Test("token ids that are none", arguments: ["", " \n", "1 two", "[1, 2", "[1,,2]", "-1", "1e3"])
  func tokenIDs(text: String) throws {
    let folder = try TemporaryFolder()
    let file = try folder.write(text, to: "ids")
    let outcome = try Attend.run(
      ["logits", Self.tiny, "--token-ids", file, "--logits-out", folder.path + "/out"])
    expect(outcome, status: 65, saying: file)
    #expect(try folder.names() == ["ids"])
  }

  @Test("a logits file that cannot be written")
  func unwritable() throws {
    let folder = try TemporaryFolder()
    let ids = try folder.write("1 2 3", to: "ids")
    // By a link: were it replaced instead of refused, the device itself would stay.
    let full = folder.path + "/full"
    try FileManager.default.createSymbolicLink(atPath: full, withDestinationPath: "/dev/full")
    let made = unsafe mkfifo(folder.path + "/fifo", 0o600)
    #expect(made == 0)
    for target in [folder.path + "/none/out", folder.path, full, folder.path + "/fifo"] {
      let outcome = try Attend.run([
        "logits", Self.tiny, "--token-ids", ids, "--logits-out", target,
      ])
      expect(outcome, status: 74, saying: target)
    }
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: full) == "/dev/full")
    #expect(try folder.names() == ["fifo", "full", "ids"])
  }

  @Test("a logits file that outgrows its disk is taken away, and the one before it stays")
  func diskFull() throws {
    let folder = try TemporaryFolder()
    let ids = try folder.write((0..<1000).map { "\($0 % 128)" }.joined(separator: " "), to: "ids")
    let target = try folder.write("the one before", to: "out")
    // A limit of 4 KiB for every file: the write that crosses it fails, as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\""
    let process = try ChildProcess(
      path: "/bin/bash",
      arguments: ["-c", script, Attend.path]
        + ["logits", Self.tiny, "--token-ids", ids, "--logits-out", target])
    process.closeInput()
    expect(process.wait(), status: 74, saying: target)
    #expect(try folder.names() == ["ids", "out"])
    #expect(try Data(contentsOf: URL(fileURLWithPath: target)) == Data("the one before".utf8))
  }

  @Test(
    "memory that the system refuses ends with 71",
    arguments: [
      (60_000, "begin with"), (180_000, "mapping"), (300_000, "cannot allocate"),
      (325_000, "pages of a layer"), (1_000_000, "pages of a layer"),
    ])
  func outOfMemory(kibibytes: Int, word: String) throws {
    // Not enough for threads' stacks, for the model's file, for its weights, and for the cache's address space.
    expect(try generate(kibibytes: kibibytes), status: 71, saying: word)
  }

  @Test("a limit of memory ends with 71 wherever it lies")
  func limits() throws {
    for kibibytes in stride(from: 60_000, to: 400_000, by: 9_412) {
      let outcome = try generate(kibibytes: kibibytes)
      expect(outcome, status: 71, saying: "attend: ")
      #expect(["ulimit -v", "cannot allocate"].contains { outcome.errorText.contains($0) })
    }
  }

  private func generate(kibibytes: Int) throws -> Outcome {
    // What is kept for the stack of each CPU's thread comes on top; the limits are those of two.
    let limit = kibibytes + (ProcessInfo.processInfo.processorCount - 2) * 8_192
    let script = "ulimit -s 8192; ulimit -v \(limit); exec \"$0\" \"$@\""
    let process = try ChildProcess(
      path: "/bin/bash",
      arguments: ["-c", script, Attend.path]
        + ["generate", try Models.smolLM2(), "--prompt", "x", "--threads", "2"])
    process.closeInput()
    return process.wait()
  }

  @Test(
    "standard output that is full or closed ends with 74",
    arguments: [">/dev/full", "| head -c 1 >/dev/null"],
    [["generate", "--prompt", "Count: 1, 2, 3,", "--max-tokens", "60"], ["logits", "--json"]])
  func outputFails(target: String, arguments: [String]) throws {
    let folder = try TemporaryFolder()
    // As JSON longer than a pipe holds, so that its reader is gone before the end.
    let ids = try folder.write(
      (0..<20_000).map { "\($0 * 37 % 128)" }.joined(separator: " "), to: "ids")
    let model = arguments[0] == "generate" ? try Models.smolLM2() : Self.tiny
    let words =
      [arguments[0], model] + arguments.dropFirst()
      + (arguments[0] == "logits" ? ["--token-ids", ids] : [])
    let script = "set -o pipefail; \"$0\" \"$@\" \(target)"
    let process = try ChildProcess(
      path: "/bin/bash", arguments: ["-c", script, Attend.path] + words)
    process.closeInput()
    let outcome = process.wait()
    #expect(outcome.exitStatus == 74)
    #expect(outcome.errorLines.count == 1, "\(outcome.errorText)")
    #expect(outcome.errorText.hasPrefix("attend: cannot write: "))
  }

  @Test("an interrupt leaves no logits file behind")
  func interrupt() throws {
    let folder = try TemporaryFolder()
    let ids = try folder.write(
      (0..<60_000).map { "\($0 * 37 % 128)" }.joined(separator: " "), to: "ids")
    let process = try Attend.start([
      "logits", Self.tiny, "--token-ids", ids, "--logits-out", folder.path + "/out",
    ])
    Thread.sleep(forTimeInterval: 1)
    process.send(SIGINT)
    let outcome = process.wait()
    #expect(outcome.exitStatus == 130)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errorLines == ["attend: interrupted"])
    #expect(try folder.names() == ["ids"])
  }
}
