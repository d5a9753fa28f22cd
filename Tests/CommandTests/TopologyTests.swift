import Foundation
import TestSupport
import Testing

@Suite("attend topology")
struct TopologyTests {
  private struct Report: Decodable {
    struct Node: Decodable {
      let number: Int
      let cpus: [Int]
    }
    let nodes: [Node]
    let allowedCPUs: [Int]
    let workers: Int
    let instructionSet: String
  }

  private func output(_ words: [String]) throws -> String {
    let process = try ChildProcess(path: "/usr/bin/env", arguments: words)
    process.closeInput()
    let outcome = process.wait()
    try #require(outcome.exitStatus == 0, "\(outcome.errorText)")
    return outcome.text
  }

  private func report(_ prefix: [String] = []) throws -> Report {
    let text = try output(prefix + [Attend.path, "topology", "--json"])
    return try JSONDecoder().decode(Report.self, from: Data(text.utf8))
  }

  @Test("nodes and their CPUs are those of lscpu")
  func nodes() throws {
    var expected: [Int: [Int]] = [:]
    for line in try output(["lscpu", "--parse=NODE,CPU"]).split(separator: "\n")
    where !line.hasPrefix("#") {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      expected[Int(fields[0]) ?? 0, default: []].append(try #require(Int(fields[1])))
    }
    let nodes = try report().nodes.filter { !$0.cpus.isEmpty }
    #expect(Dictionary(uniqueKeysWithValues: nodes.map { ($0.number, $0.cpus) }) == expected)
  }

  @Test("the affinity mask bounds CPUs and workers")
  func affinity() throws {
    let all = try report()
    let last = try #require(all.allowedCPUs.last)
    let bound = try report(["taskset", "--cpu-list", "\(last)"])
    #expect(bound.allowedCPUs == [last])
    #expect(bound.workers == 1)
  }

  @Test("the instruction set is the one that was asked for")
  func instructionSet() throws {
    #expect(try report(["ATTEND_ISA=baseline"]).instructionSet == "baseline")
    let text = try output(["ATTEND_ISA=baseline", Attend.path, "topology"])
    #expect(text.contains("baseline"))
  }
}
