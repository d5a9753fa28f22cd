import Memory
import ModelFiles

/// What `attend topology` prints: the machine as this process may use it, and what would be used.
struct TopologyReport {
  private let topology: Topology
  private let instructionSet: String

  /// Describes `topology`, and the kernels that would run by their name.
  init(_ topology: Topology, instructionSet: String) {
    self.topology = topology
    self.instructionSet = instructionSet
  }

  /// A line for each fact, for people.
  var text: String {
    let nodes = topology.nodes.map { node in
      (
        "node \(node.number)",
        "\(Self.cpus(node.cpus)), \(Self.bytes(node.memoryBytes))"
          + (node.allowsMemory || node.memoryBytes == 0 ? "" : ", closed to this process")
      )
    }
    let facts =
      nodes + [
        ("allowed", Self.cpus(topology.allowedCPUs)),
        ("CPU quota", topology.cpuQuota.map { "\($0) CPUs" } ?? "none"),
        ("memory", Self.bytes(topology.memoryBytes)),
        ("memory limit", topology.memoryLimitBytes.map(Self.bytes) ?? "none"),
        ("workers", "\(topology.defaultWorkerCount)"),
        ("instruction set", instructionSet),
      ]
    let width = facts.reduce(0) { max($0, $1.0.count) } + 2
    return facts.map { name, value in
      name + String(repeating: " ", count: width - name.count) + value + "\n"
    }.joined()
  }

  /// One JSON object and the end of its line; sizes in bytes, null for a limit that is not there.
  var json: String {
    func list(_ numbers: [Int]) -> String { JSONText.array(numbers.map(String.init)) }
    let nodes = topology.nodes.map { node in
      JSONText.object([
        ("number", "\(node.number)"), ("cpus", list(node.cpus)),
        ("memoryBytes", "\(node.memoryBytes)"), ("allowsMemory", "\(node.allowsMemory)"),
      ])
    }
    let workers = topology.defaultWorkerCount
    return JSONText.object([
      ("nodes", JSONText.array(nodes)), ("allowedCPUs", list(topology.allowedCPUs)),
      ("cpuQuota", topology.cpuQuota.map { JSONText.number($0) } ?? "null"),
      ("memoryBytes", "\(topology.memoryBytes)"),
      ("memoryLimitBytes", topology.memoryLimitBytes.map { "\($0)" } ?? "null"),
      ("workers", "\(workers)"), ("workerNodes", list(topology.nodesOfWorkers(count: workers))),
      ("instructionSet", JSONText.string(instructionSet)),
    ]) + "\n"
  }

  /// `4 CPUs (0-2, 8)`.
  private static func cpus(_ numbers: [Int]) -> String {
    var runs: [ClosedRange<Int>] = []
    for number in numbers {
      if let last = runs.last, last.upperBound == number - 1 {
        runs[runs.count - 1] = last.lowerBound...number
      } else {
        runs.append(number...number)
      }
    }
    let list = runs.map {
      $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
    }
    let count = "\(numbers.count) CPU\(numbers.count == 1 ? "" : "s")"
    return list.isEmpty ? "no CPUs" : "\(count) (\(list.joined(separator: ", ")))"
  }

  /// `23.5 GiB`, or MiB below one.
  private static func bytes(_ count: Int) -> String {
    guard count > 0 else { return "no memory" }
    let (unit, shift) = count >= 1 << 30 ? ("GiB", 30) : ("MiB", 20)
    let tenths = count / (1 << shift) * 10 + count % (1 << shift) * 10 / (1 << shift)
    return "\(tenths / 10).\(tenths % 10) \(unit)"
  }
}
