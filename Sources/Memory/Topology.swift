/// The machine as this process may use it: memory nodes, CPUs, and the limits of its control groups.
///
/// Plain data, so that a four-node machine can be described on a one-node one. `Topology.current` reads the
/// real one.
public struct Topology: Sendable, Equatable {
  /// A memory node: CPUs and the memory next to them, either of which may be missing.
  public struct Node: Sendable, Equatable {
    /// The system's number; numbers may have gaps.
    public var number: Int
    /// Its online CPUs that this process may use.
    public var cpus: [Int]
    /// Its memory, 0 for a node without any.
    public var memoryBytes: Int
    /// Whether this process may place pages there.
    public var allowsMemory: Bool

    /// A node as described.
    public init(number: Int, cpus: [Int], memoryBytes: Int, allowsMemory: Bool = true) {
      self.number = number
      self.cpus = cpus
      self.memoryBytes = memoryBytes
      self.allowsMemory = allowsMemory && memoryBytes > 0
    }
  }

  /// In the order of their numbers; at least one.
  public var nodes: [Node]
  /// CPUs of the affinity mask (cpusets included), ascending.
  public var allowedCPUs: [Int]
  /// CPU time per time that the control groups allow, such as 1.5; nil where there is no limit.
  public var cpuQuota: Double?
  /// The smallest memory limit of the control groups; nil where there is none.
  public var memoryLimitBytes: Int?
  /// Memory of the machine.
  public var memoryBytes: Int

  /// A machine as described.
  public init(
    nodes: [Node], allowedCPUs: [Int]? = nil, cpuQuota: Double? = nil, memoryLimitBytes: Int? = nil,
    memoryBytes: Int? = nil
  ) {
    precondition(!nodes.isEmpty, "a machine has at least one node")
    self.nodes = nodes.sorted { $0.number < $1.number }
    self.allowedCPUs = (allowedCPUs ?? nodes.flatMap(\.cpus)).sorted()
    self.cpuQuota = cpuQuota
    self.memoryLimitBytes = memoryLimitBytes
    self.memoryBytes = memoryBytes ?? nodes.reduce(0) { $0 + $1.memoryBytes }
  }

  /// How many workers to use unless told otherwise: one per allowed CPU, no more than the quota feeds, at least 1.
  public var defaultWorkerCount: Int {
    let quota = cpuQuota.map { Int(min($0.rounded(.up), 1e6)) } ?? Int.max
    return max(1, min(allowedCPUs.count, quota))
  }

  /// Numbers of the nodes that can hold pages of this process.
  public var memoryNodes: [Int] { nodes.filter(\.allowsMemory).map(\.number) }

  /// Numbers of the nodes whose CPUs this process may use.
  public var computeNodes: [Int] { nodes.filter { !$0.cpus.isEmpty }.map(\.number) }

  /// What this process may fill at most: the machine's memory or the control groups' limit, whichever is less.
  public var usableMemoryBytes: Int { min(memoryBytes, memoryLimitBytes ?? Int.max) }

  /// Workers shared out over the nodes in proportion to their CPUs.
  ///
  /// Returns one node number per worker; worker 0, the calling thread, is on the first one. Neighbouring workers
  /// share a node.
  public func nodesOfWorkers(count: Int) -> [Int] {
    let capable = nodes.filter { !$0.cpus.isEmpty }
    let cpuCount = capable.reduce(0) { $0 + $1.cpus.count }
    guard cpuCount > 0 else { return Array(repeating: nodes[0].number, count: count) }
    return (0..<count).map { worker in
      var cpu = worker * cpuCount / max(count, 1)
      for node in capable {
        if cpu < node.cpus.count { return node.number }
        cpu -= node.cpus.count
      }
      return capable[0].number
    }
  }
}
