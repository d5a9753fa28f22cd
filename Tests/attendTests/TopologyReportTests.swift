import Foundation
import Memory
import TestSupport
import Testing

@testable import attend

@Suite struct TopologyReportTests {
  private struct Description: Decodable, Equatable {
    struct Node: Decodable, Equatable {
      var number: Int
      var cpus: [Int]
      var memoryBytes: Int
      var allowsMemory: Bool
    }

    var nodes: [Node]
    var allowedCPUs: [Int]
    var cpuQuota: Double?
    var memoryBytes: Int
    var memoryLimitBytes: Int?
    var workers: Int
    var workerNodes: [Int]
    var instructionSet: String
  }

  private static let threeNodes = TopologyReport(
    Topology(
      nodes: [
        .init(number: 0, cpus: [0, 1, 2, 8], memoryBytes: 3 << 29),
        .init(number: 2, cpus: [], memoryBytes: 300 << 20, allowsMemory: false),
        .init(number: 5, cpus: [9], memoryBytes: 0),
      ],
      cpuQuota: 1.5, memoryLimitBytes: 100 << 20),
    instructionSet: "avx2")

  private static func described(_ report: TopologyReport) throws -> Description {
    try JSONDecoder().decode(Description.self, from: Data(report.json.utf8))
  }

  /// What a program prints; it inherits the calling thread's mask.
  private static func output(_ command: String...) throws -> String {
    let child = try ChildProcess(
      path: "/usr/bin/env", arguments: command,
      environment: ["OMP_NUM_THREADS": nil, "OMP_THREAD_LIMIT": nil])
    child.closeInput()
    return String(decoding: child.wait().output, as: UTF8.self)
  }

  @Test("for people: a line for each fact, its values in one column")
  func text() {
    #expect(
      Self.threeNodes.text == """
        node 0           4 CPUs (0-2, 8), 1.5 GiB
        node 2           no CPUs, 300.0 MiB, closed to this process
        node 5           1 CPU (9), no memory
        allowed          5 CPUs (0-2, 8-9)
        CPU quota        1.5 CPUs
        memory           1.7 GiB
        memory limit     100.0 MiB
        workers          2
        instruction set  avx2

        """)
  }

  @Test("for programs: one object in one line, every key always there")
  func json() throws {
    let description = try Self.described(Self.threeNodes)
    #expect(
      description
        == Description(
          nodes: [
            .init(number: 0, cpus: [0, 1, 2, 8], memoryBytes: 3 << 29, allowsMemory: true),
            .init(number: 2, cpus: [], memoryBytes: 300 << 20, allowsMemory: false),
            .init(number: 5, cpus: [9], memoryBytes: 0, allowsMemory: false),
          ],
          allowedCPUs: [0, 1, 2, 8, 9], cpuQuota: 1.5, memoryBytes: (3 << 29) + (300 << 20),
          memoryLimitBytes: 100 << 20, workers: 2, workerNodes: [0, 0], instructionSet: "avx2"))
    let unlimited = TopologyReport(
      Topology(nodes: [.init(number: 0, cpus: [0], memoryBytes: 1 << 30)]), instructionSet: "")
    #expect(unlimited.json.contains("\"cpuQuota\":null,"))
    #expect(unlimited.json.contains("\"memoryLimitBytes\":null,"))
    #expect(unlimited.json.hasSuffix("}\n"))
  }

  @Test("this machine's nodes and CPUs are those of lscpu, within the affinity mask")
  func agreesWithLscpu() throws {
    let description = try Self.described(TopologyReport(.current, instructionSet: ""))
    let allowed = Set(description.allowedCPUs)
    var cpusOfNodes: [Int: [Int]] = [:]
    for line in try Self.output("lscpu", "-p=CPU,NODE").split(separator: "\n") {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      guard fields.count == 2, let cpu = Int(fields[0]) else { continue }
      // No node: a kernel without any.
      if allowed.contains(cpu) { cpusOfNodes[Int(fields[1]) ?? 0, default: []].append(cpu) }
    }
    #expect(!cpusOfNodes.isEmpty)
    for (node, cpus) in cpusOfNodes {
      #expect(description.nodes.first { $0.number == node }?.cpus == cpus.sorted())
    }
    #expect(try "\(allowed.count)\n" == Self.output("nproc"))
  }

  @Test("a narrower mask, as taskset gives it, leaves its CPUs only")
  func agreesWithTheMask() throws {
    let before = try #require(ThreadAffinity.current)
    let cpu = try #require(before.cpus.last)
    let thread = Thread {
      #expect(ThreadAffinity([cpu]).apply())
      do {
        let description = try Self.described(TopologyReport(.current, instructionSet: ""))
        #expect(description.allowedCPUs == [cpu])
        #expect(description.nodes.flatMap(\.cpus) == [cpu])
        #expect(description.workers == 1)
        // The child inherits the mask and is asked about itself.
        #expect(try Self.output("sh", "-c", "taskset -cp $$").hasSuffix(": \(cpu)\n"))
      } catch {
        Issue.record(error)
      }
    }
    thread.start()
    while !thread.isFinished { usleep(1_000) }
  }

  @Test("the limits are the tightest that the control groups' files name")
  func agreesWithTheControlGroups() throws {
    // Every folder from the group up, under each place where its controller may be mounted.
    func files(_ controller: String, _ name: String) throws -> [String] {
      let groups = try String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)
      return groups.split(separator: "\n").flatMap { line -> [String] in
        let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard fields[1].isEmpty || fields[1].split(separator: ",").contains(controller[...]) else {
          return []
        }
        let folders = fields[2].split(separator: "/")
        return ["", "/unified", "/\(fields[1])"].flatMap { mount in
          (0...folders.count).compactMap { depth in
            let path = folders.prefix(depth).map { "/\($0)" }.joined()
            let file = "/sys/fs/cgroup\(mount)\(path)/\(name)"
            return try? String(contentsOfFile: file, encoding: .utf8)
          }
        }
      }
    }
    let description = try Self.described(TopologyReport(.current, instructionSet: ""))
    let maxima = try files("memory", "memory.max") + files("memory", "memory.limit_in_bytes")
    // Version 1 says "none" as the largest multiple of a page.
    let limits = maxima.compactMap { Int($0.filter { $0 != "\n" }) }.filter { $0 < 1 << 62 }
    #expect(description.memoryLimitBytes == limits.min())
    let quotas =
      try files("cpu", "cpu.max").compactMap { line -> Double? in
        let words = line.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
        return words.count == 2 ? words[0] / words[1] : nil
      }
      + zip(files("cpu", "cpu.cfs_quota_us"), files("cpu", "cpu.cfs_period_us")).compactMap {
        quota, period -> Double? in
        let numbers = (quota + period).split(separator: "\n").compactMap { Double($0) }
        return numbers.count == 2 && numbers[0] > 0 ? numbers[0] / numbers[1] : nil
      }
    #expect(description.cpuQuota == quotas.min())
  }
}
