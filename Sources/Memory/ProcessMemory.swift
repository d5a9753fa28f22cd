import CNUMA

/// What this process takes of the machine's memory, as the system counts it.
package enum ProcessMemory {
  /// Bytes that are resident now; nil where the system does not say.
  package static var residentBytes: Int? { bytes("VmRSS") }

  /// The most that was ever resident; nil where the system does not say.
  package static var peakResidentBytes: Int? { bytes("VmHWM") }

  /// Gives what the program has freed back to the system, which `malloc` may keep for later; all but the top of other threads' arenas.
  package static func releaseFreed() { attention_release_freed() }

  /// Prepares a program for a limit of its address space (`ulimit -v`), if it has one; false where nothing can run within it.
  ///
  /// Threads then share one heap, whose growth is all that small allocations take. Call before others run: without room for its stack a
  /// thread never begins, and whoever waits for it waits forever.
  package static func fitsAddressSpace() -> Bool {
    if SystemMemory.hasLimitedAddressSpace { attention_share_heap() }
    return SystemMemory.hasSpareAddressSpace
  }

  private static func bytes(_ field: String) -> Int? {
    SystemText.read("/proc/self/status").flatMap { SystemText.field(field, in: $0) }.map {
      $0 << 10
    }
  }

  /// Resident bytes on every memory node that has any, by node number; empty where the system does not say.
  package static var residentBytesByNode: [Int: Int] {
    SystemText.read("/proc/self/numa_maps").map(residentBytesByNode(in:)) ?? [:]
  }

  /// Sums what the lines of numa_maps say: `N0=12` pages of `kernelpagesize_kB=4`.
  static func residentBytesByNode(in maps: String) -> [Int: Int] {
    var result: [Int: Int] = [:]
    for line in maps.split(separator: "\n") {
      var pages: [(node: Int, count: Int)] = []
      var pageBytes = 4096
      for word in line.split(separator: " ") {
        let parts = word.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let number = Int(parts[1]) else { continue }
        if parts[0] == "kernelpagesize_kB" {
          pageBytes = number << 10
        } else if parts[0].first == "N", let node = Int(parts[0].dropFirst()) {
          pages.append((node, number))
        }
      }
      for (node, count) in pages { result[node, default: 0] += count * pageBytes }
    }
    return result
  }
}
