import Memory

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A file of figures: a whole file, or what a pipe delivers until its end.
enum FigureFile {
  /// - Throws: ``BenchmarkError/unreadable(path:reason:)`` for a folder or a device, too: /dev/zero has no end.
  static func read(_ path: String) throws(BenchmarkError) -> String {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else {
      let reason = errno == ENOENT ? "no such file" : systemMessage(errno)
      throw .unreadable(path: path, reason: reason)
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG, S_IFIFO, S_IFSOCK: break
    case S_IFDIR: throw .unreadable(path: path, reason: "is a directory")
    default:
      throw .unreadable(path: path, reason: "is a device, not a file that can be read to its end")
    }
    guard let text = SystemText.read(path) else {
      throw .unreadable(path: path, reason: "cannot be read")
    }
    return text
  }
}
