import Benchmarking
import Memory
import StreamingAttention

/// The folder of a run's snapshots, and the snapshot of its own cache.
final class StressSnapshots {
  /// The snapshot of processes that are killed.
  static let children = "children"

  let folder: String
  /// Whether the folder is the run's, which made it and removes it.
  private let isOwn: Bool
  var store: SnapshotStore
  /// Snapshots saved so far.
  var number = 0

  /// Makes a folder of its own, in the one that was asked for or among the temporary files; a process that is to be killed uses that
  /// of the run which started it.
  ///
  /// Throws an error of the option where such a process finds another file in place of its snapshot.
  init(_ options: StressOptions) throws(StressError) {
    isOwn = !options.isChild
    if options.isChild, let folder = options.folder {
      self.folder = folder
    } else {
      do throws(MemoryError) { folder = try FileFolder.temporary(in: options.folder) } catch {
        throw .stopped(.output("\(error)"))
      }
    }
    let path = "\(folder)/\(options.isChild ? Self.children : "cache")"
    store = try StressError.wrapping { () throws(SnapshotError) in try SnapshotStore(path: path) }
    if options.isChild { try checkOthers() }
  }

  deinit { if isOwn { FileFolder.removeFolder(folder) } }

  private func checkOthers() throws(StressError) {
    do throws(SnapshotError) { _ = try store.attachment() } catch {
      guard case .notSnapshot = error else { return }
      throw .stopped(
        .option(
          name: "--folder", received: folder,
          allowed: "a folder whose file '\(Self.children)' is a snapshot, or one without it"))
    }
  }
}

extension StressError {
  /// What a snapshot threw: a disk or memory that is full ends the run, anything else is a failed check.
  static func wrapping<Value>(
    _ body: () throws(SnapshotError) -> Value
  ) throws(StressError) -> Value {
    do throws(SnapshotError) { return try body() } catch {
      switch error {
      case .cache(let error): throw StressError(error)
      case .file(.unwritable), .file(.refused): throw .stopped(.output("\(error)"))
      case .file(.outOfMemory(let count, let place)):
        throw .stopped(.memory(.outOfMemory(byteCount: count, placement: place)))
      case .cancelled: throw .stopped(.interrupted)
      default: throw .failed("a snapshot was not saved or restored: \(error)")
      }
    }
  }
}
