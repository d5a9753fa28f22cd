import Glibc

/// A program that runs beside this one, with its standard output in our hands.
///
/// It is killed with its owner, and has a process group of its own: a terminal's signals reach this program alone, which says what
/// becomes of the other. Should this program be killed, the other one's next write fails.
package final class ChildProgram {
  /// How a program came to its end.
  package enum Ending: Equatable {
    /// By itself, with a status.
    case exited(Int32)
    /// By a signal.
    case signalled(Int32)

    /// By `kill`, or another who sent SIGKILL.
    package static let killed = Ending.signalled(SIGKILL)
  }

  private let identifier: pid_t
  private let output: Int32
  private var ending: Ending?

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
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    // SAFETY: the copies live until after posix_spawn, which reads them before it returns.
    let words = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe words.forEach { unsafe free($0) } }
    var identifier: pid_t = 0
    let status = unsafe posix_spawn(&identifier, path, &actions, &attributes, words, environ)
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

  /// Whether `read` would return at once; waits for that as long as told.
  package func hasOutput(within milliseconds: Int32) -> Bool {
    var wanted = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&wanted, 1, milliseconds) > 0
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
  ///
  /// - Returns: How it ended, which may have been before.
  @discardableResult
  package func kill() -> Ending {
    if ending == nil { Glibc.kill(identifier, SIGKILL) }
    return wait()
  }

  /// Waits until it is gone by itself.
  package func wait() -> Ending {
    if let ending { return ending }
    var status: Int32 = 0
    while unsafe waitpid(identifier, &status, 0) < 0, errno == EINTR {}
    // As WTERMSIG and WEXITSTATUS take it apart.
    let signal = status & 0x7F
    let ending = signal == 0 ? Ending.exited(status >> 8 & 0xFF) : .signalled(signal)
    self.ending = ending
    return ending
  }
}
