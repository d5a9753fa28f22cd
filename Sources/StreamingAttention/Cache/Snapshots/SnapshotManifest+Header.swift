extension SnapshotManifest {
  /// What a manifest begins with: enough to know whether the rest is worth reading.
  struct Header: Sendable, Equatable {
    /// Pools of the cache: retentions among its layers.
    var poolCount: Int
    /// Bytes of the whole file, as it says itself.
    var length: UInt64
    /// The number of the snapshot.
    var id: UInt64

    private static let lengthOffset = 16

    /// Takes the first bytes of a file apart, `headerBytes` of them or all that there are.
    ///
    /// Throws `notSnapshot`, `version` or `damaged`.
    init(_ bytes: [UInt8], path: String) throws(SnapshotError) {
      let magic = SnapshotManifest.magic
      guard bytes.count >= magic.count, Array(bytes[..<magic.count]) == magic else {
        throw .notSnapshot(path: path)
      }
      var reader = ByteReader(bytes, in: magic.count..<bytes.count)
      let known = SnapshotManifest.version
      if let version = try? reader.integer(UInt32.self), version != known {
        throw .version(path: path, received: Int(version), allowed: known)
      }
      do throws(ByteReader.Defect) {
        poolCount = Int(try reader.integer(UInt32.self))
        length = try reader.integer()
        id = try reader.integer()
      } catch {
        throw .damaged(path: path, offset: error.offset, reason: error.reason)
      }
    }

    /// Throws `damaged` unless a file of that length can be the one that the header begins.
    func check(byteCount: Int, path: String) throws(SnapshotError) {
      // The checksum follows what the header announces.
      guard length == UInt64(byteCount), byteCount >= SnapshotManifest.headerBytes + 8 else {
        throw .damaged(
          path: path, offset: Self.lengthOffset,
          reason: "the file has \(byteCount) bytes of \(length)")
      }
    }
  }
}
