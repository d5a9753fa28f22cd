public import Memory

/// Why a snapshot was not saved or restored; the cache, and the last complete snapshot, are as they were.
public enum SnapshotError: Error, Equatable {
  /// The path is empty or holds a NUL byte: no file can have it.
  case invalidPath(String)
  /// There is no snapshot of that name, or an empty file.
  case notFound(path: String)
  /// A file that is not a snapshot has the name; it is not touched.
  case notSnapshot(path: String)
  /// Another store's snapshot has the name, which is not to be replaced; it is not touched.
  case replaced(path: String)
  /// The snapshot's format is of another version.
  case version(path: String, received: Int, allowed: Int)
  /// The file is not what was written: what is wrong, and where.
  case damaged(path: String, offset: Int, reason: String)
  /// A part of a layer's shape is not that of the cache; without a layer, the number of them.
  case shape(layer: Int?, part: String, received: String, allowed: String)
  /// Keys were turned by frequencies that a layer of the cache does not have in that epoch.
  case frequencies(layer: Int, epoch: Int)
  /// Keys of a layer are turned, and no engine over the cache has told it by which frequencies.
  case noFrequencies(layer: Int)
  /// The system refused to read or write.
  case file(MemoryError)
  /// The cache refused.
  case cache(CacheError)
  /// The caller asked to stop.
  case cancelled
}

extension SnapshotError: CustomStringConvertible {
  /// One line: what, where, what to change.
  public var description: String {
    switch self {
    case .invalidPath(""): "the path of a snapshot is empty; name a file"
    case .invalidPath(let path):
      "the path of a snapshot holds a NUL byte: \(path.debugDescription); name a file without it"
    case .notFound(let path): "\(path): no such snapshot"
    case .notSnapshot(let path):
      "\(path): is no snapshot and is not replaced by one; choose another name"
    case .replaced(let path):
      "\(path): another process has saved here meanwhile, and that is not replaced; go on from it, or choose another name"
    case .version(let path, let received, let allowed):
      "\(path): a snapshot of version \(received); this program reads version \(allowed)"
    case .damaged(let path, let offset, let reason):
      "\(path): damaged at byte \(offset): \(reason)"
    case .shape(let layer?, let part, let received, let allowed):
      "the snapshot does not fit: layer \(layer): \(part) is \(received), the cache's is \(allowed)"
    case .shape(nil, let part, let received, let allowed):
      "the snapshot does not fit: \(part) is \(received), the cache's is \(allowed)"
    case .frequencies(let layer, let epoch):
      "the snapshot does not fit: layer \(layer): its keys were turned by other rotary frequencies than "
        + "those of the cache (epoch \(epoch)); use the scaling that it was made with, for the same maximum context where it depends on that"
    case .noFrequencies(let layer):
      "the snapshot cannot be compared with the cache: layer \(layer): its keys were turned by rotary frequencies, and no engine has "
        + "told the cache any; make an AttentionEngine over it first, then restore"
    case .file(let error): "\(error)"
    case .cache(let error): "\(error)"
    case .cancelled: "cancelled"
    }
  }

  static func reading<Value: ~Copyable>(
    _ body: () throws(MemoryError) -> Value
  ) throws(SnapshotError) -> Value {
    do throws(MemoryError) { return try body() } catch { throw SnapshotError(reading: error) }
  }

  static func writing<Value: ~Copyable>(
    _ body: () throws(MemoryError) -> Value
  ) throws(SnapshotError) -> Value {
    do throws(MemoryError) { return try body() } catch {
      switch error {
      case .refused(_, errno: TurnPatience.givenUp): throw .cancelled
      case .notFound(let path): throw .file(.unwritable(path: path, errno: 2))  // ENOENT
      case .unreadable(let path, let errno): throw .file(.unwritable(path: path, errno: errno))
      default: throw .file(error)
      }
    }
  }

  static func wrapping<Value>(
    _ body: () throws(CacheError) -> Value
  ) throws(SnapshotError) -> Value {
    do throws(CacheError) { return try body() } catch { throw .cache(error) }
  }

  /// What reading a file of a snapshot ran into.
  init(reading error: MemoryError) {
    self =
      switch error {
      case .refused(_, errno: TurnPatience.givenUp): .cancelled
      case .fileEnds(let path, let offset):
        .damaged(path: path, offset: offset, reason: "the file ends here")
      default: .file(error)
      }
  }
}
