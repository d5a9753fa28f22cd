import CNUMA
import Glibc

/// libnuma, opened at run time: every call into it.
///
/// Absent where the library is not installed or the kernel knows no nodes; then everything is one node.
@safe struct LibNUMA: Sendable {
  enum Policy: Sendable {
    /// Pages come from the node or not at all: a full node means the kernel's out-of-memory killer.
    case bind
    /// Pages come from the node while it has room and from others after that.
    case prefer
  }

  static let shared = LibNUMA()

  /// Nodes whose memory this process may use, as its cpuset allows when the library is opened.
  let allowedNodes: [Int]
  // SAFETY: functions of a library that is never closed; they may be called from any thread.
  private nonisolated(unsafe) let bindMemory: attention_mbind
  private nonisolated(unsafe) let movePages: attention_move_pages

  private init?() {
    guard let library = unsafe dlopen("libnuma.so.1", RTLD_NOW | RTLD_LOCAL),
      let isAvailable = unsafe dlsym(library, "numa_available"),
      let allowed = unsafe dlsym(library, "numa_get_mems_allowed"),
      let isSet = unsafe dlsym(library, "numa_bitmask_isbitset"),
      let free = unsafe dlsym(library, "numa_bitmask_free"),
      let mbind = unsafe dlsym(library, "mbind"),
      let movePages = unsafe dlsym(library, "move_pages")
    else { return nil }
    // SAFETY: the types are those of numa.h and numaif.h; CNUMA.c compares them where these are installed.
    guard unsafe unsafeBitCast(isAvailable, to: attention_numa_available.self)() >= 0,
      let nodes = unsafe unsafeBitCast(allowed, to: attention_numa_get_mems_allowed.self)()
    else { return nil }
    let contains = unsafe unsafeBitCast(isSet, to: attention_numa_isbitset.self)
    allowedNodes = (0..<Self.maximumNodeCount).filter {
      unsafe contains(nodes, UInt32($0)) != 0
    }
    unsafe unsafeBitCast(free, to: attention_numa_bitmask_free.self)(nodes)
    unsafe bindMemory = unsafeBitCast(mbind, to: attention_mbind.self)
    unsafe self.movePages = unsafeBitCast(movePages, to: attention_move_pages.self)
  }

  /// Sets where the pages of a range will come from; to be called before their first touch.
  ///
  /// Returns 0 or an error number.
  func place(_ address: UInt, _ byteCount: Int, on node: Int, _ policy: Policy) -> Int32 {
    var nodes = [UInt](repeating: 0, count: Self.maximumNodeCount / UInt.bitWidth)
    nodes[node / UInt.bitWidth] = 1 << UInt(node % UInt.bitWidth)
    let mode = policy == .bind ? ATTENTION_MPOL_BIND : ATTENTION_MPOL_PREFERRED
    // SAFETY: mbind changes no contents, and reads as many bits of the mask as it is told.
    let status = unsafe bindMemory(
      UnsafeMutableRawPointer(bitPattern: address), UInt(byteCount), Int32(mode), nodes,
      UInt(Self.maximumNodeCount), 0)
    return status == 0 ? 0 : errno
  }

  /// The node of each page that starts at `addresses`, or the negative error number of a page without memory.
  func nodes(ofPagesAt addresses: [UInt]) -> [Int32]? {
    var pages = unsafe addresses.map { unsafe UnsafeMutableRawPointer(bitPattern: $0) }
    var status = [Int32](repeating: 0, count: addresses.count)
    // SAFETY: without target nodes move_pages reads `pages` and fills `status`, both `count` long.
    let result = unsafe movePages(0, UInt(addresses.count), &pages, nil, &status, 0)
    return result == 0 ? status : nil
  }

  /// As many as Linux can be built for (CONFIG_NODES_SHIFT ≤ 10).
  private static let maximumNodeCount = 1_024
}
