extension Topology {
  /// What the system says now, for the calling thread.
  ///
  /// Reads /sys/devices/system/node, the affinity mask, /proc and the control groups (about 0.3 ms). What cannot be
  /// read counts as absent: one node, no limit.
  public static var current: Topology {
    SystemReader(root: "").topology(affinity: ThreadAffinity.current?.cpus)
  }

  /// Memory that could be touched now without pushing anything out, or nil where the system does not say.
  ///
  /// The smaller of MemAvailable and what the control groups leave.
  public static var availableMemoryBytes: Int? { SystemReader(root: "").availableBytes }
}
