import Foundation
import TestSupport
import Testing

@Suite("attend bench")
struct BenchTests {
  @Test("help names every mode and option")
  func help() throws {
    let outcome = try Attend.run(["bench", "--help"])
    #expect(outcome.exitStatus == 0)
    for word in [
      "decode", "prefill", "append", "edits", "forks", "fork-join", "limits", "model", "compare",
      "--context",
      "--shape", "--query-heads", "--kv-heads", "--head-dimension", "--key-type", "--value-type",
      "--position", "--threads", "--batch", "--forks", "--query-length", "--instruction-set",
      "--alibi-epsilon", "--anchor-run", "--key-rotation",
      "--repeat", "--attempts", "--json", "--save", "--note",
    ] {
      #expect(outcome.text.contains(word), "\(word)")
    }
  }

  @Test(
    "wrong command lines are 64 and say what is allowed",
    arguments: [
      (["sweep"], "decode"), (["decode", "--context", "0"], "4096"),
      (["decode", "--key-type", "f8"], "bf16"), (["model"], "MODEL"),
      (["decode", "8192"], "--context"), (["decode", "--forks", "2"], "only with forks"),
      (["decode", "a", "b"], "unexpected"),
    ])
  func usage(words: [String], hint: String) throws {
    try UsageTests.expectRefusal(of: ["bench"] + words, saying: hint)
  }

  @Test("a file of figures that is missing is 66 with its name, an empty one 65")
  func figures() throws {
    let folder = try TemporaryFolder()
    let empty = try folder.write("\n", to: "empty.json")
    for (path, status) in [(empty, 65), (folder.path + "/missing.json", 66)] as [(String, Int32)] {
      let outcome = try Attend.run(["bench", "compare", path])
      #expect(outcome.exitStatus == status)
      #expect(outcome.errorText.contains(path))
    }
  }

  @Test("the benchmark without the command around it ends as the command does")
  func bareExecutable() throws {
    let folder = try TemporaryFolder()
    let empty = try folder.write("\n", to: "empty")
    let tooLong = [
      "edits", "--context", "64M", "--kv-heads", "2", "--query-heads", "4", "--key-type", "f32",
    ]
    let path = Attend.path.dropLast("attend".count) + "Benchmark"
    for (words, status) in [
      (["sweep"], 64), (["compare", empty], 65), (["model", empty], 65),
      (["compare", folder.path + "/missing"], 66), (["model", folder.path + "/missing"], 66),
      (tooLong, 71), (["fork-join", "--repeat", "5"], 0),
    ] as [([String], Int32)] {
      let bare = try ChildProcess(path: String(path), arguments: words)
      bare.closeInput()
      #expect(bare.wait().exitStatus == status, "\(words)")
      #expect(try Attend.run(["bench"] + words).exitStatus == status, "\(words)")
    }
  }

  @Test(
    "a model's records say its own positions, what attention read, and that two ways agree",
    arguments: [("bloom_alibi", "alibi"), ("mistral_swa", "rope")])
  func model(name: String, position: String) throws {
    let outcome = try Attend.run([
      "bench", "model", Fixtures.path("tiny/\(name)/\(name).gguf"), "--depth", "0,600",
      "--key-type", "f16", "--repeat", "2", "--prompt-length", "2", "--threads", "1",
      "--attempts", "1", "--json",
    ])
    #expect(outcome.exitStatus == 0, "\(outcome.errorText)")
    let records = try outcome.text.split(separator: "\n").map {
      try JSONDecoder().decode(ModelRecord.self, from: Data($0.utf8))
    }
    #expect(records.map(\.operation) == ["decode", "prefill", "decode", "prefill"])
    #expect(records.allSatisfy { $0.position == position && $0.selfCheck.passed })
    let read = records.compactMap(\.keyValueBytesRead)
    #expect(read.count == 2 && read[0] > 0 && read[1] > read[0])
  }

  private struct ModelRecord: Decodable {
    struct SelfCheck: Decodable { let passed: Bool }
    let operation: String
    let position: String
    let keyValueBytesRead: Int?
    let selfCheck: SelfCheck
  }

  @Test("records go to standard output as JSON and into a file after a line about the machine")
  func saved() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/results.json"
    let outcome = try Attend.run([
      "bench", "fork-join", "--threads", "1,2", "--repeat", "50", "--json", "--save", path,
      "--note", "abc123",
    ])
    #expect(outcome.exitStatus == 0, "\(outcome.errorText)")
    let lines = outcome.text.split(separator: "\n").map(String.init)
    #expect(lines.count == 2)
    let saved = try String(contentsOfFile: path, encoding: .utf8)
      .split(separator: "\n").map(String.init)
    #expect(Array(saved.dropFirst()) == lines)
    #expect(saved[0].contains("\"operation\":\"machine\"") && saved[0].contains("abc123"))
    #expect(saved[0].contains("fork-join"))
  }

  @Test("records never replace what they are about")
  func inputAsOutput() throws {
    let folder = try TemporaryFolder()
    let model = try folder.write(
      Array(
        try Data(
          contentsOf: URL(
            fileURLWithPath: Fixtures.path("tiny/bloom_alibi/bloom_alibi.gguf")))), to: "m.gguf")
    let figures = try folder.write(Self.modelFigure, to: "figures.jsonl")
    let link = folder.path + "/link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: model)
    let before = try Data(contentsOf: URL(fileURLWithPath: model))
    for words in [
      ["model", model, "--save", model], ["model", model, "--save", link],
      ["compare", figures, "--save", figures],
      ["compare", figures, "--model", model, "--save", model],
    ] {
      let outcome = try Attend.run(["bench"] + words)
      #expect(outcome.exitStatus == 64)
      #expect(outcome.errorText.contains("would replace"), "\(outcome.errorText)")
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: model)) == before)
    #expect(try String(contentsOfFile: figures, encoding: .utf8) == Self.modelFigure)
  }

  private static let modelFigure = """
    {"engine": "x", "operation": "decode", "context": 65, "queryLength": 1, "keyType": "f16", \
    "valueType": "f16", "threads": 1, "medianMilliseconds": 1, "model": "m.gguf", "depth": 64}
    """

  private static func figure(engine: String = "x", context: Int = 300, threads: Int = 1) -> String {
    """
    {"engine": "\(engine)", "operation": "decode", "context": \(context), "queryLength": 1, \
    "queryHeads": 4, "kvHeads": 2, "headDimension": 64, "keyType": "f16", "valueType": "f16", \
    "threads": \(threads), "medianMilliseconds": 1}
    """
  }

  @Test(
    "ours beside a file of figures, whose names reach the terminal without its control characters")
  func compare() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write(
      Self.figure(engine: #"a\u001b[31m\nb"#) + "\n" + Self.figure(engine: "c") + "\n",
      to: "figures")
    let outcome = try Attend.run([
      "bench", "compare", file, "--repeat", "2", "--attempts", "1",
    ])
    #expect(outcome.exitStatus == 0, "\(outcome.errorText)")
    let lines = outcome.text.split(separator: "\n", omittingEmptySubsequences: false)
    // A heading, ours, theirs, and the end of the last line.
    #expect(lines.count == 5)
    #expect(outcome.text.contains("streaming-attention") && outcome.text.contains("\\n"))
    #expect(!outcome.text.contains("\u{1B}"))
  }

  @Test("figures that cannot be measured are 65 with their line, and a device is 66")
  func hostileFigures() throws {
    let folder = try TemporaryFolder()
    for (text, word) in [
      (Self.figure(threads: 67_108_864), "threads"), (Self.figure(threads: 5_000), "threads"),
      (Self.figure().replacingOccurrences(of: "64", with: "1"), "headDimension"),
      (Self.figure().replacingOccurrences(of: "4,", with: "67108864,"), "queryHeads"),
    ] {
      let file = try folder.write(Self.figure() + "\n" + text, to: "figures")
      let outcome = try Attend.run(["bench", "compare", file])
      #expect(outcome.exitStatus == 65)
      #expect(outcome.errorText.contains("line 2: \"\(word)\""), "\(outcome.errorText)")
    }
    let device = try Attend.run(["bench", "compare", "/dev/zero"])
    #expect(device.exitStatus == 66 && device.errorText.contains("device"))
  }

  @Test("a model's figures want that model, and say so before anything is measured")
  func comparedModel() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write(Self.figure() + "\n" + Self.modelFigure, to: "figures")
    for model in [nil, "other.gguf"] {
      try UsageTests.expectRefusal(
        of: ["bench", "compare", file] + (model.map { ["--model", $0] } ?? []), saying: "m.gguf")
    }
    let plain = try folder.write(Self.figure(), to: "plain")
    try UsageTests.expectRefusal(
      of: ["bench", "compare", plain, "--model", "m.gguf"], saying: "nothing")
    try UsageTests.expectRefusal(
      of: ["bench", "compare", plain, "--context", "4K"], saying: "only with")
  }

  @Test("rows that the process has no room for end with 71")
  func memory() throws {
    // Enough for the program, the probes and the cache; not for the rows of a prompt.
    let script = "ulimit -d 6000000; exec \"$0\" \"$@\""
    let process = try ChildProcess(
      path: "/bin/bash",
      arguments: [
        "-c", script, Attend.path, "bench", "prefill", "--context", "256K", "--query-length",
        "256K",
        "--kv-heads", "1", "--head-dimension", "64", "--key-type", "f16", "--position", "none",
      ])
    process.closeInput()
    let outcome = process.wait()
    #expect(outcome.exitStatus == 71 && outcome.errorText.contains("allocate"))
  }

  @Test("an interrupt ends a run with 130 and keeps the file")
  func interrupt() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/results.json"
    let process = try Attend.start([
      "bench", "fork-join", "--threads", "1,2", "--repeat", "1000000", "--save", path,
    ])
    let deadline = ContinuousClock.now + .seconds(60)
    while !FileManager.default.fileExists(atPath: path), ContinuousClock.now < deadline {
      Thread.sleep(forTimeInterval: 0.01)
    }
    Thread.sleep(forTimeInterval: 0.3)
    process.send(SIGINT)
    let outcome = process.wait()
    #expect(outcome.exitStatus == 130, "\(outcome.errorText)")
    #expect(try String(contentsOfFile: path, encoding: .utf8).contains("\"operation\":\"machine\""))
  }
}
