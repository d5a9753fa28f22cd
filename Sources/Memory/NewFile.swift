import Glibc

/// A file that is being written, under a name that nothing had before.
///
/// It is closed with its owner, and stays where it is: whoever made it gives it its final name or removes it.
package struct NewFile: ~Copyable {
  package let path: String
  /// Bytes written so far.
  package private(set) var byteCount = 0
  private let descriptor: Int32

  /// Creates a file; throws `unwritable` where that is not to be had, also if the name is taken.
  package init(creating path: String) throws(MemoryError) {
    descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw .unwritable(path: path, errno: errno) }
    self.path = path
  }

  deinit { close(descriptor) }

  /// Writes bytes behind those so far; throws `unwritable`, for a full disk too.
  package mutating func append(_ bytes: RawSpan) throws(MemoryError) {
    var written = 0
    while written < bytes.byteCount {
      // SAFETY: write reads the rest of the span, which outlives the call.
      let count = unsafe bytes.withUnsafeBytes { bytes in
        unsafe Glibc.write(
          descriptor, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw .unwritable(path: path, errno: count < 0 ? errno : ENOSPC) }
      written += count
    }
    byteCount += bytes.byteCount
  }

  /// Returns when all bytes are on the disk; throws `unwritable` if they cannot get there.
  package borrowing func synchronize() throws(MemoryError) {
    while fsync(descriptor) != 0 {
      guard errno == EINTR else { throw .unwritable(path: path, errno: errno) }
    }
  }
}
