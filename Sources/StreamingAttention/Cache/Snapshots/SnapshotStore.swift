import Memory

/// A place on disk where snapshots of a cache are kept, the last complete one at any time.
///
/// A snapshot is a manifest of the name given and files of pages beside it. Saving writes the pages that have changed since the last
/// snapshot of the same cache into a new file, then a new manifest, which takes the old one's place in one step: whoever
/// ends the process at any instant finds one of the two. Documentation/Snapshots.md has the format.
///
/// A store is used by one thread at a time. Several processes may use one name: they take turns.
public final class SnapshotStore {
  /// Where a page set was written last.
  struct Saved {
    /// The set's `version` then.
    var version: UInt64
    var segment: UInt64
    /// On its shelf.
    var number: Int
    var checksum: UInt64
  }

  /// What the last snapshot holds of a cache that is still there.
  struct Contents {
    /// Of which cache.
    var cache: CacheIdentity
    var segments: [SnapshotManifest.Segment]
    /// By pool and number of the page set.
    var sets: [[Int32: Saved]]
  }

  /// The manifest.
  public let path: String
  let names: SnapshotNames
  /// Nil before the first snapshot or restoration: everything is written then.
  var memory: Contents?
  /// The number of the snapshot that was saved or restored last.
  var latest: UInt64?

  /// Names a snapshot; nothing is read or written.
  ///
  /// - Throws: ``SnapshotError/invalidPath(_:)`` for an empty path, and one with a NUL byte, before which the system would end it.
  public init(path: String) throws(SnapshotError) {
    guard !path.isEmpty, !path.utf8.contains(0) else { throw .invalidPath(path) }
    self.path = path
    names = SnapshotNames(path)
  }

  /// What the caller has attached to the last complete snapshot.
  ///
  /// - Throws: ``SnapshotError``.
  public func attachment() throws(SnapshotError) -> [UInt8] {
    let turn = try SnapshotError.reading { () throws(MemoryError) in
      try FileFolder.Turn(in: names.folder, .shared)
    }
    defer { extendLifetime(turn) }
    return try manifest().attachment
  }

  /// Opens the manifest and reads its first bytes: all that is read of a file that is no snapshot.
  ///
  /// Throws `notFound` where there is none, or an empty file, as `mktemp` makes it.
  func openManifest() throws(SnapshotError) -> (file: ReadableFile, start: [UInt8]) {
    let file: ReadableFile
    let start: [UInt8]
    do throws(MemoryError) {
      file = try ReadableFile(path: names.target)
      start = try file.bytes(in: 0..<min(file.byteCount, SnapshotManifest.headerBytes))
    } catch {
      if case .notFound = error { throw .notFound(path: path) }
      throw SnapshotError(reading: error)
    }
    guard !start.isEmpty else { throw .notFound(path: path) }
    return (file, start)
  }

  /// Reads the manifest; throws `notFound` where there is none.
  func manifest() throws(SnapshotError) -> SnapshotManifest {
    let (file, start) = try openManifest()
    let header = try SnapshotManifest.Header(start, path: path)
    try header.check(byteCount: file.byteCount, path: path)
    let content = try SnapshotError.reading { () throws(MemoryError) in
      try FileContent(of: file, in: 0..<file.byteCount)
    }
    return try SnapshotManifest(decoding: content, path: path)
  }
}

/// One cache among all that there ever are in the process.
final class CacheIdentity: Sendable {}
