import Glibc
import Memory

/// A whole file, or what a pipe delivers until its end.
enum InputFile {
  static func read(_ path: String) throws(CommandFailure) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path) }
    defer { close(descriptor) }
    var status = stat()
    // A device such as /dev/zero has no end.
    guard unsafe fstat(descriptor, &status) == 0,
      [S_IFREG, S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT) || isatty(descriptor) == 1
    else {
      let isDirectory = status.st_mode & S_IFMT == S_IFDIR
      throw CommandFailure(
        .missingFile,
        "\(path): is \(isDirectory ? "a directory" : "a device"), not a file that can be read to its end"
      )
    }
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      // SAFETY: read writes at most the bytes that it is given.
      let count = unsafe buffer.withUnsafeMutableBytes { bytes in
        unsafe Glibc.read(descriptor, bytes.baseAddress, bytes.count)
      }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw failure(path) }
      guard count > 0 else { return content }
      content += buffer[..<count]
    }
  }

  /// Whether two paths lead to one file that exists.
  static func isSame(_ first: String, _ second: String) -> Bool {
    var (a, b) = (stat(), stat())
    guard unsafe stat(first, &a) == 0, unsafe stat(second, &b) == 0 else { return false }
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino
  }

  private static func failure(_ path: String) -> CommandFailure {
    let errno = errno
    let reason = errno == ENOENT ? "no such file" : systemMessage(errno)
    return CommandFailure(ExitStatus(readingFailed: errno), "\(path): \(reason)")
  }
}
