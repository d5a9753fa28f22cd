/// Where memory was asked for.
public enum Placement: Sendable, Equatable, CustomStringConvertible {
  /// On whichever node the system chooses.
  case anywhere
  /// On the node of this number.
  case node(Int)

  /// Human-readable, for error messages.
  public var description: String {
    switch self {
    case .anywhere: "anywhere"
    case .node(let number): "node \(number)"
    }
  }
}

/// What the operating system refused.
public enum MemoryError: Error, Equatable, CustomStringConvertible {
  /// So many bytes cannot be had there.
  case outOfMemory(byteCount: Int, placement: Placement)
  /// So many bytes of address space cannot be had; no memory was asked for yet.
  case outOfAddressSpace(byteCount: Int)
  /// The node does not exist, has no memory, or is closed to this process by its cpuset.
  case nodeUnavailable(node: Int, allowed: [Int])
  /// The system cannot say where pages are: libnuma or the kernel's support is missing.
  case placementUnknown
  /// A system call failed for a reason that no other case names.
  case refused(operation: String, errno: Int32)
  /// There is no such file.
  case notFound(path: String)
  /// The path names a folder.
  case isDirectory(path: String)
  /// The path names a pipe, a device or a socket, none of which can be mapped.
  case notRegularFile(path: String)
  /// The file exists and cannot be read.
  case unreadable(path: String, errno: Int32)
  /// The file ends before the bytes that are wanted.
  case fileEnds(path: String, offset: Int)
  /// The file or its folder cannot be written, or the disk is full.
  case unwritable(path: String, errno: Int32)

  /// One line: what, where, what to change.
  public var description: String {
    switch self {
    case .outOfMemory(let byteCount, let placement):
      "cannot allocate \(byteCount) bytes (\(placement)); shorten the context or use smaller element types"
    case .outOfAddressSpace(let byteCount):
      "cannot reserve \(byteCount) bytes of address space, which take no memory yet; "
        + "raise the limit of the process (ulimit -v)"
    case .nodeUnavailable(let node, let allowed):
      "memory node \(node) is not available; this process may use \(allowed)"
    case .placementUnknown:
      "cannot ask where pages are: libnuma.so.1 or NUMA support in the kernel is missing"
    case .refused(let operation, let errno):
      "\(operation) failed: \(systemMessage(errno))"
    case .notFound(let path): "\(path): no such file"
    case .isDirectory(let path): "\(path): is a directory, not a file"
    case .notRegularFile(let path): "\(path): not a regular file"
    case .unreadable(let path, let errno): "\(path): cannot be read: \(systemMessage(errno))"
    case .fileEnds(let path, let offset): "\(path): ends at byte \(offset), before what is wanted"
    case .unwritable(let path, let errno): "\(path): cannot be written: \(systemMessage(errno))"
    }
  }
}
