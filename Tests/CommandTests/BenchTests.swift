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
