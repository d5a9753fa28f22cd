import Glibc

/// A program that runs beside this one, with its standard output in our hands.
///
/// It is killed with its owner.
package final class ChildProgram {
  private let identifier: pid_t
  private let output: Int32
  private var isOver = false

  /// Starts the program at `path`; throws `refused`.
  package init(path: String, arguments: [String]) throws(MemoryError) {
    var ends: [Int32] = [-1, -1]
    guard unsafe pipe(&ends) == 0 else { throw .refused(operation: "pipe", errno: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    // SAFETY: the copies live until after posix_spawn, which reads them before it returns.
    let words = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe words.forEach { unsafe free($0) } }
    var identifier: pid_t = 0
    let status = unsafe posix_spawn(&identifier, path, &actions, nil, words, environ)
    close(ends[1])
    guard status == 0 else {
      close(ends[0])
      throw .refused(operation: "starting \(path)", errno: status)
    }
    self.identifier = identifier
    output = ends[0]
  }

  deinit {
    kill()
    close(output)
  }

  /// Waits for output, and gives what there is; empty at its end.
  package func read() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 4096)
    var count = -1
    repeat {
      // SAFETY: read writes at most the bytes that it is given.
      count = unsafe bytes.withUnsafeMutableBytes { bytes in
        unsafe Glibc.read(output, bytes.baseAddress, bytes.count)
      }
    } while count < 0 && errno == EINTR
    return Array(bytes.prefix(max(count, 0)))
  }

  /// Ends it at once, wherever it is (SIGKILL), and waits until it is gone.
  package func kill() {
    guard !isOver else { return }
    isOver = true
    Glibc.kill(identifier, SIGKILL)
    var status: Int32 = 0
    while unsafe waitpid(identifier, &status, 0) < 0, errno == EINTR {}
  }
}
