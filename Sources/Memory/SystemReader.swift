/// Reads a machine's description from a tree of files as Linux lays them out under `root`.
struct SystemReader {
  /// Empty for the real tree.
  let root: String

  /// The machine, for a thread confined to the CPUs of `affinity` (by default those of /proc/self/status).
  func topology(affinity: [Int]? = nil) -> Topology {
    let status = SystemText.read(root + "/proc/self/status") ?? ""
    let memory = meminfo("MemTotal") ?? 0
    let found = nodes(status: status)
    let allowed =
      affinity ?? list("Cpus_allowed_list", in: status)
      ?? found?.flatMap(\.cpus) ?? [0]
    let online = Set(found?.flatMap(\.cpus) ?? allowed)
    let cpus = allowed.filter { online.contains($0) }.sorted()
    let usable = Set(cpus)
    let nodes =
      found?.map { node in
        var node = node
        node.cpus = node.cpus.filter { usable.contains($0) }
        return node
      } ?? [Topology.Node(number: 0, cpus: cpus, memoryBytes: memory)]
    let groups = ControlGroups(root: root)
    return Topology(
      nodes: nodes, allowedCPUs: cpus, cpuQuota: groups.cpuQuota,
      memoryLimitBytes: groups.memoryLimitBytes, memoryBytes: memory)
  }

  /// The smaller of MemAvailable and what the control groups leave.
  var availableBytes: Int? {
    let machine = meminfo("MemAvailable") ?? meminfo("MemFree")
    let groups = ControlGroups(root: root).availableBytes
    guard let machine, let groups else { return machine ?? groups }
    return min(machine, groups)
  }

  /// What a node could give: free pages, and those that only hold a copy of a file.
  ///
  /// Of the latter one half is counted, as the kernel does not drop a file that is in use gladly.
  func availableBytes(onNode node: Int) -> Int? {
    guard let text = SystemText.read(root + "/sys/devices/system/node/node\(node)/meminfo"),
      let free = SystemText.field("MemFree", in: text)
    else { return nil }
    let files = ["Active(file)", "Inactive(file)", "SReclaimable"]
      .reduce(0) { $0 + (SystemText.field($1, in: text) ?? 0) }
    return (free + files / 2) * 1_024
  }

  /// All online nodes with their online CPUs; nil where the kernel has no nodes.
  private func nodes(status: String) -> [Topology.Node]? {
    let folder = root + "/sys/devices/system/node"
    guard let online = SystemText.read(folder + "/online") else { return nil }
    let allowed = list("Mems_allowed_list", in: status).map(Set.init)
    let nodes = SystemText.list(online).map { number in
      let text = SystemText.read(folder + "/node\(number)/meminfo") ?? ""
      let cpus = SystemText.read(folder + "/node\(number)/cpulist") ?? ""
      return Topology.Node(
        number: number, cpus: SystemText.list(cpus),
        memoryBytes: (SystemText.field("MemTotal", in: text) ?? 0) * 1_024,
        allowsMemory: allowed?.contains(number) ?? true)
    }
    return nodes.isEmpty ? nil : nodes
  }

  private func meminfo(_ field: String) -> Int? {
    SystemText.read(root + "/proc/meminfo").flatMap { SystemText.field(field, in: $0) }
      .map { $0 * 1_024 }
  }

  private func list(_ name: String, in status: String) -> [Int]? {
    for line in status.split(separator: "\n") where line.hasPrefix(name + ":") {
      return SystemText.list(line.dropFirst(name.count + 1))
    }
    return nil
  }
}
