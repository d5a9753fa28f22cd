/// The control groups of this process, versions 1 and 2, with all groups above it: a limit holds for those below.
struct ControlGroups {
  private struct Mount {
    let root: String
    let point: String
    let isVersion2: Bool
    let controllers: Set<String>
  }

  private let root: String
  /// Folders from the process's own group up to the top of what is mounted.
  private let cpuFolders: [(path: String, isVersion2: Bool)]
  private let memoryFolders: [(path: String, isVersion2: Bool)]

  init(root: String) {
    self.root = root
    let mounts = Self.mounts(SystemText.read(root + "/proc/self/mountinfo") ?? "")
    let groups = SystemText.read(root + "/proc/self/cgroup") ?? ""
    cpuFolders = Self.folders(of: "cpu", groups: groups, mounts: mounts)
    memoryFolders = Self.folders(of: "memory", groups: groups, mounts: mounts)
  }

  /// CPU time per time, the smallest of all levels.
  ///
  /// Version 2: cpu.max "quota period". Version 1: cpu.cfs_quota_us (−1 for none) and cpu.cfs_period_us.
  var cpuQuota: Double? {
    cpuFolders.compactMap { folder, isVersion2 -> Double? in
      let (quota, period): (Int?, Int?)
      if isVersion2 {
        let words = (SystemText.read(root + folder + "/cpu.max") ?? "").split(
          whereSeparator: \.isWhitespace)
        quota = words.first.flatMap { Int($0) }
        period = words.count > 1 ? Int(words[1]) : 100_000
      } else {
        quota = SystemText.number(root + folder + "/cpu.cfs_quota_us")
        period = SystemText.number(root + folder + "/cpu.cfs_period_us")
      }
      guard let quota, let period, quota > 0, period > 0 else { return nil }
      return Double(quota) / Double(period)
    }.min()
  }

  /// The smallest memory limit of all levels.
  var memoryLimitBytes: Int? {
    memoryFolders.compactMap { limit(of: $0.path, $0.isVersion2) }.min()
  }

  /// The least that any level leaves: its limit less what it uses, not counting files that can be dropped.
  var availableBytes: Int? {
    memoryFolders.compactMap { folder, isVersion2 -> Int? in
      guard let limit = limit(of: folder, isVersion2) else { return nil }
      let usage = isVersion2 ? "memory.current" : "memory.usage_in_bytes"
      guard let used = SystemText.number(root + folder + "/" + usage) else { return nil }
      let statistics = SystemText.read(root + folder + "/memory.stat") ?? ""
      let name = isVersion2 ? "inactive_file" : "total_inactive_file"
      let files = SystemText.field(name, in: statistics) ?? 0
      return max(0, limit - max(0, used - files))
    }.min()
  }

  private func limit(of folder: String, _ isVersion2: Bool) -> Int? {
    if isVersion2 {
      return ["memory.max", "memory.high"]
        .compactMap { SystemText.number(root + folder + "/" + $0) }.min()
    }
    // In a container the levels above are out of sight, and only this field tells of them.
    let statistics = SystemText.read(root + folder + "/memory.stat") ?? ""
    return [
      SystemText.number(root + folder + "/memory.limit_in_bytes"),
      SystemText.field("hierarchical_memory_limit", in: statistics),
    ].compactMap { $0 }.filter { $0 < Self.unlimited }.min()
  }

  /// Version 1 writes "no limit" as the largest multiple of the page size that fits in 63 bits.
  private static let unlimited = 1 << 60

  /// Lines of /proc/self/mountinfo: "… … … ROOT POINT OPTIONS [FIELDS] - TYPE SOURCE SUPEROPTIONS".
  private static func mounts(_ text: String) -> [Mount] {
    text.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ").map(String.init)
      guard let dash = words.firstIndex(of: "-"), dash >= 5, words.count > dash + 3,
        ["cgroup", "cgroup2"].contains(words[dash + 1])
      else { return nil }
      return Mount(
        root: words[3], point: words[4], isVersion2: words[dash + 1] == "cgroup2",
        controllers: Set(words[dash + 3].split(separator: ",").map(String.init)))
    }
  }

  /// Lines of /proc/self/cgroup: "0::PATH" for version 2, "N:CONTROLLERS:PATH" for version 1.
  private static func folders(
    of controller: String, groups: String, mounts: [Mount]
  ) -> [(path: String, isVersion2: Bool)] {
    var folders: [(path: String, isVersion2: Bool)] = []
    for line in groups.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let isVersion2 = parts[1].isEmpty
      guard isVersion2 || parts[1].split(separator: ",").contains(Substring(controller)),
        let mount = mounts.first(where: {
          $0.isVersion2 == isVersion2 && (isVersion2 || $0.controllers.contains(controller))
        })
      else { continue }
      var path = relative(String(parts[2]), to: mount.root)
      while !path.isEmpty {
        folders.append((mount.point + path, isVersion2))
        path = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
      }
      folders.append((mount.point, isVersion2))
    }
    return folders
  }

  /// A group's path below the mounted one; a mount shows only the part of the tree under its own root.
  private static func relative(_ path: String, to mountRoot: String) -> String {
    if mountRoot == "/" { return path == "/" || path.hasPrefix("/..") ? "" : path }
    guard path.hasPrefix(mountRoot + "/") else { return "" }
    return String(path.dropFirst(mountRoot.count))
  }
}
