import Benchmarking
import Memory
import StreamingAttention

/// The folder of a run's snapshots, and the snapshot of its own cache.
final class StressSnapshots {
  /// The snapshot of processes that are killed.
  static let children = "children"

  let folder: String
  private let isOwn: Bool
  var store: SnapshotStore
  /// Snapshots saved so far.
  var number = 0

  /// Uses a folder, or makes one, which goes with the run.
  init(_ options: StressOptions) throws(StressError) {
    isOwn = options.folder == nil
    if let folder = options.folder {
      self.folder = folder
    } else {
      do throws(MemoryError) { folder = try FileFolder.temporary() } catch {
        throw .stopped(.output("\(error)"))
      }
    }
    store = SnapshotStore(path: "\(folder)/\(options.isChild ? Self.children : "cache")")
  }

  deinit { if isOwn { FileFolder.removeFolder(folder) } }
}

extension StressError {
  /// What a snapshot threw: a disk or memory that is full ends the run, anything else is a failed check.
  static func wrapping<Value>(
    _ body: () throws(SnapshotError) -> Value
  ) throws(StressError) -> Value {
    do throws(SnapshotError) { return try body() } catch {
      switch error {
      case .cache(let error): throw .stopped(.cache(error))
      case .file(.unwritable), .file(.refused): throw .stopped(.output("\(error)"))
      case .file(.outOfMemory(let count, let place)):
        throw .stopped(.memory(.outOfMemory(byteCount: count, placement: place)))
      case .cancelled: throw .stopped(.interrupted)
      default: throw .failed("a snapshot was not saved or restored: \(error)")
      }
    }
  }
}
