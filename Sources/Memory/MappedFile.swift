import Glibc

/// A regular file in memory, for reading.
///
/// Bytes are read from disk when they are first touched, and the system may drop them again. The mapping has the
/// length that the file had when it was opened. A file that another process shortens afterwards takes pages
/// away from under the mapping: touching those is a bus error (SIGBUS), which no program can turn into an error
/// value; `attend` says so and ends. Replace files that may be in use by renaming new ones over them, which leaves mappings intact.
public final class MappedFile: Sendable {
  /// The path it was opened by.
  public let path: String
  /// Length of the file.
  public let byteCount: Int
  private let address: UInt

  /// Maps the file at `path`; an empty file is allowed.
  ///
  /// Throws `notFound`, `isDirectory`, `notRegularFile`, `unreadable`, or `outOfMemory` when the address space is full.
  public init(path: String) throws(MemoryError) {
    self.path = path
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw errno == ENOENT || errno == ENOTDIR
        ? .notFound(path: path) : .unreadable(path: path, errno: errno)
    }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw .unreadable(path: path, errno: errno)
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw .isDirectory(path: path)
    default: throw .notRegularFile(path: path)
    }
    byteCount = Int(status.st_size)
    guard byteCount > 0 else {
      address = 0
      return
    }
    guard let start = SystemMemory.mapFile(descriptor, byteCount) else {
      throw errno == ENOMEM
        ? .outOfAddressSpace(byteCount: byteCount)
        : .unreadable(path: path, errno: errno)
    }
    address = start
  }

  deinit {
    if byteCount > 0 { SystemMemory.unmap(address, byteCount) }
  }

  /// Lends a range of the file's bytes.
  ///
  /// - Precondition: the range lies within `0..<byteCount`.
  public func withBytes<Result: ~Copyable, Failure: Error>(
    in range: Range<Int>, _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= byteCount,
      "bytes \(range) of \(path), which has \(byteCount)")
    // SAFETY: the range lies in the mapping, which lives until `deinit`, and is never written through.
    let start = unsafe UnsafeRawPointer(bitPattern: address + UInt(range.lowerBound))
    let bytes = unsafe UnsafeRawBufferPointer(start: start, count: range.count)
    let result = try body(unsafe bytes.bytes)
    extendLifetime(self)
    return result
  }
}
