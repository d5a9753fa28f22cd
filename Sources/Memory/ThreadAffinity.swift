import CNUMA
import Glibc

/// The CPUs that a thread may run on.
package struct ThreadAffinity: Sendable, Equatable {
  /// One bit per CPU.
  private var mask: [UInt]

  /// These CPUs; numbers beyond what Linux can be built for are left out.
  package init(_ cpus: [Int]) {
    mask = [UInt](repeating: 0, count: Self.maximumCPUCount / UInt.bitWidth)
    for cpu in cpus where (0..<Self.maximumCPUCount).contains(cpu) {
      mask[cpu / UInt.bitWidth] |= 1 << UInt(cpu % UInt.bitWidth)
    }
  }

  /// Those of the calling thread; nil where the system does not say.
  package static var current: ThreadAffinity? {
    var affinity = ThreadAffinity([])
    let count = affinity.mask.count * MemoryLayout<UInt>.size
    // SAFETY: the kernel writes at most `count` bytes.
    return unsafe attention_get_affinity(&affinity.mask, count) < 0 ? nil : affinity
  }

  /// Confines the calling thread to these CPUs; false where the system refuses, as it does for CPUs outside
  /// of the process's cpuset.
  package func apply() -> Bool {
    // SAFETY: the kernel reads `count` bytes.
    unsafe attention_set_affinity(mask, mask.count * MemoryLayout<UInt>.size) == 0
  }

  /// Their numbers, ascending.
  package var cpus: [Int] {
    (0..<Self.maximumCPUCount).filter {
      mask[$0 / UInt.bitWidth] & 1 << UInt($0 % UInt.bitWidth) != 0
    }
  }

  /// The CPU that the calling thread is on; −1 where the system does not say.
  package static var currentCPU: Int { attention_current_cpu() }

  private static let maximumCPUCount = 8_192
}
