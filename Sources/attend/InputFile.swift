import Glibc
import Memory

/// A whole file, or what a pipe delivers until its end.
enum InputFile {
  static func read(_ path: String) throws(CommandFailure) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(path) }
    defer { close(descriptor) }
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

  private static func failure(_ path: String) -> CommandFailure {
    let reason = errno == ENOENT ? "no such file" : systemMessage(errno)
    return CommandFailure(.missingFile, "\(Terminal.printable(path)): \(reason)")
  }
}
