import Glibc

/// An open regular file that is read at any offset, by several threads if need be.
///
/// Unlike a mapping it meets a file that somebody shortens with an error value.
package final class ReadableFile: Sendable {
  package let path: String
  /// Length when it was opened.
  package let byteCount: Int
  private let descriptor: Int32

  /// Opens a file; throws `notFound`, `isDirectory`, `notRegularFile` or `unreadable`.
  package init(path: String) throws(MemoryError) {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw errno == ENOENT || errno == ENOTDIR
        ? .notFound(path: path) : .unreadable(path: path, errno: errno)
    }
    var status = stat()
    let known = unsafe fstat(descriptor, &status)
    let number = errno
    let kind = status.st_mode & S_IFMT
    guard known == 0, kind == S_IFREG else {
      close(descriptor)
      guard known == 0 else { throw .unreadable(path: path, errno: number) }
      throw kind == S_IFDIR ? .isDirectory(path: path) : .notRegularFile(path: path)
    }
    self.path = path
    self.descriptor = descriptor
    byteCount = Int(status.st_size)
  }

  deinit { close(descriptor) }

  /// Fills memory with the file's bytes from `offset` on; throws `fileEnds` if they end before, or `unreadable`.
  package func read(at offset: Int, into bytes: inout MutableRawSpan) throws(MemoryError) {
    let path = path
    let descriptor = descriptor
    // SAFETY: pread writes at most what is left of the span.
    try unsafe bytes.withUnsafeMutableBytes { (bytes) throws(MemoryError) in
      var filled = 0
      while filled < bytes.count {
        let count = unsafe pread(
          descriptor, bytes.baseAddress.map { unsafe $0 + filled }, bytes.count - filled,
          off_t(offset + filled))
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw MemoryError.unreadable(path: path, errno: errno) }
        guard count > 0 else { throw MemoryError.fileEnds(path: path, offset: offset + filled) }
        filled += count
      }
    }
  }

  /// Lets the system read a part ahead of its use, in the background.
  package func expect(_ range: Range<Int>) {
    _ = posix_fadvise(descriptor, off_t(range.lowerBound), off_t(range.count), POSIX_FADV_WILLNEED)
  }

  /// Lets the system forget what it has in memory of the file, so that it is read from the disk again.
  ///
  /// Bytes that are not on the disk yet stay.
  package func forget() { _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }

  /// A part of the file as an array.
  package func bytes(in range: Range<Int>) throws(MemoryError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    try read(at: range.lowerBound, into: &raw)
    return bytes
  }
}
