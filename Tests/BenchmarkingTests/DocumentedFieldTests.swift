import Foundation
import StreamingAttention
import TestSupport
import Testing

@testable import Benchmarking

@Suite("The fields in Documentation/Benchmarks.md")
struct DocumentedFieldTests {
  /// Rows of the table: what stands in backquotes in the first and in the second cell.
  private func rows() throws -> [(names: [String], words: [String])] {
    let text = try String(
      contentsOfFile: Fixtures.repository + "/Documentation/Benchmarks.md", encoding: .utf8)
    let section = try #require(text.components(separatedBy: "\n## Fields\n").last)
    func words(_ cell: String) -> [String] {
      cell.components(separatedBy: "`").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
    }
    return section.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { row in
      let cells = row.components(separatedBy: " | ")
      return (words(cells[0]), words(cells.dropFirst().joined()))
    }
  }

  /// Records of every kind, each as a small run hands it out.
  private func records() throws -> [BenchmarkRecord] {
    var records: [BenchmarkRecord] = []
    for (mode, values) in [
      ("decode", ["--context": "2*300", "--key-rotation": "in-tile"]),
      ("decode", ["--anchor-run": "64", "--keys": "plain"]), ("decode", [:]), ("prefill", [:]),
      ("append", ["--repeat": "4"]), ("edits", ["--context": "1K"]), ("forks", ["--forks": "2"]),
      ("fork-join", ["--repeat": "50"]),
    ] as [(String, [String: String])] {
      var values = values
      if mode != "fork-join" { values["--key-type"] = "f16" }
      records += try RunHarness.run(mode, values).records
    }
    let model = try RunHarness.run(
      "model", ["--context": "64", "--query-length": "1,4", "--key-type": "f16"],
      argument: Fixtures.path("tiny/bloom_alibi/bloom_alibi.gguf")
    ).records
    records += model
    let job = ComparedJob(
      operation: "decode", context: 65, queryLength: 1, threads: 1, model: "m.gguf", depth: 64)
    let peer = PeerFigure(
      engine: "x", version: "1", job: job, keyType: "f16", valueType: "f16",
      medianMilliseconds: 1)
    records += Comparison.records(ours: model, peers: [peer])
    records.append(BenchmarkRun.record(of: .read, passes: [1], threads: 1, set: .detected))
    return records
  }

  private func members(_ json: String) throws -> [String] {
    let object = try JSONSerialization.jsonObject(with: Data(json.utf8))
    return try #require(object as? [String: Any]).keys.sorted()
  }

  @Test("are those that records have, and the operations too")
  func fields() throws {
    let records = try records()
    let nothing = BenchmarkRecord(operation: "")
    for (label, value) in Mirror(reflecting: nothing).children
    where Mirror(reflecting: value).displayStyle == .optional {
      let isMet = records.contains { record in
        Mirror(reflecting: record).children.contains {
          $0.label == label && !Mirror(reflecting: $0.value).children.isEmpty
        }
      }
      #expect(isMet, "no record of this test has \(label ?? "")")
    }
    let machine = MachineRecord(command: "attend bench", note: "n", version: "1")
    var written = Set(try members(machine.json))
    for record in records { written.formUnion(try members(record.json)) }
    let rows = try rows()
    #expect(Set(rows.flatMap(\.names)).symmetricDifference(written).sorted() == [])

    let operations = Set(records.map(\.operation)).union(["machine"])
    let row = try #require(rows.first { $0.names == ["operation"] })
    #expect(Set(row.words).symmetricDifference(operations).sorted() == [])
  }
}
