import Synchronization

/// Refuses a commit that the machine cannot honour, before a first touch ends in the out-of-memory killer.
///
/// Linux hands out address space freely and kills when pages are missing. So a commit first asks how much is
/// available; a read of /proc costs tens of µs, hence one answer serves until an eighth of it has been handed out.
final class MemoryHeadroom: Sendable {
  static let shared = MemoryHeadroom { placement in
    switch placement {
    case .anywhere: SystemReader(root: "").availableBytes
    case .node(let node): SystemReader(root: "").availableBytes(onNode: node)
    }
  }

  private let available: @Sendable (Placement) -> Int?
  /// Bytes that may still be handed out before the next look, by node number; −1 is the whole machine.
  private let unasked = Mutex<[Int: Int]>([:])

  init(available: @escaping @Sendable (Placement) -> Int?) {
    self.available = available
  }

  /// Whether that many more bytes can be touched; true where the system does not say.
  func grants(_ byteCount: Int, _ placement: Placement) -> Bool {
    let key = if case .node(let node) = placement { node } else { -1 }
    return unasked.withLock { unasked in
      if let left = unasked[key], left >= byteCount {
        unasked[key] = left - byteCount
        return true
      }
      guard let bytes = available(placement) else { return true }
      guard bytes - byteCount >= Self.reserveBytes else {
        unasked[key] = 0
        return false
      }
      unasked[key] = (bytes - byteCount) / 8
      return true
    }
  }

  /// Left to everyone else.
  static let reserveBytes = 32 << 20
}
