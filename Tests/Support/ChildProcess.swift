import Dispatch
import Foundation
import Glibc
import Synchronization

/// A program that runs as a child of the test, with all three standard streams in the test's hands.
///
/// Output is collected while it runs, so a child never blocks on a full pipe; signals can be sent at any time;
/// it is killed when its time is up, and then the result says so.
package final class ChildProcess: Sendable {
  package enum LaunchError: Error, Equatable {
    case cannotStart(path: String, errno: Int32)
  }

  /// Whom a terminal's signals would reach beside the child.
  package enum Group: Sendable {
    /// This process too.
    case shared
    /// Only what the child starts.
    case own
  }

  private struct State {
    var output: [UInt8] = []
    var errorOutput: [UInt8] = []
    var peakResidentBytes = 0
    var inputIsOpen = true
    var isOver = false
    var outputHasEnded = false
    var timedOut = false
  }

  /// Held from the making of the pipes to the start of the child: two launches at once would leave one child with
  /// the other's pipe ends, and its readers waiting for both.
  private static let launching = Mutex(())

  private let state = Mutex(State())
  private let identifier: pid_t
  private let input: Int32
  private let readers = DispatchGroup()
  private let started = ContinuousClock.now
  /// The peak that the child may have inherited from this process, see `peakResidentBytes`.
  private let inheritedPeakBytes: Int

  /// Starts `path` with these arguments (its own name not among them).
  ///
  /// `environment` is laid over the test's own; a nil value removes the variable.
  package init(
    path: String, arguments: [String], environment: [String: String?] = [:],
    timeLimit: Duration = .seconds(120), group: Group = .shared
  ) throws(LaunchError) {
    var variables = ProcessInfo.processInfo.environment
    for (name, value) in environment { variables[name] = value }
    let child = try Self.launching.withLock { _ throws(LaunchError) in
      try Self.launch(path: path, arguments: arguments, variables: variables, group: group)
    }
    // Read after the start: a peak only grows, and other tests may have made it grow until then.
    inheritedPeakBytes = Self.peakBytes(of: "self")
    (identifier, input) = (child.identifier, child.input)

    signal(SIGPIPE, SIG_IGN)
    collect(from: child.output) {
      $0.output += $1
      $0.outputHasEnded = $1.isEmpty
    }
    collect(from: child.errorOutput) { $0.errorOutput += $1 }
    watch(until: ContinuousClock.now + timeLimit)
  }

  private static func launch(
    path: String, arguments: [String], variables: [String: String], group: Group
  ) throws(LaunchError) -> (identifier: pid_t, input: Int32, output: Int32, errorOutput: Int32) {
    let (input, output, errorOutput) = (pipe(), pipe(), pipe())
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, input.read, STDIN_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, output.write, STDOUT_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, errorOutput.write, STDERR_FILENO)

    // The child begins with the signals of a fresh login, whatever this process ignores or blocks.
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe posix_spawnattr_setsigmask(&attributes, &signals)
    for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
    unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
    var flags = Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK)
    if group == .own {
      unsafe posix_spawnattr_setpgroup(&attributes, 0)
      flags |= Int16(POSIX_SPAWN_SETPGROUP)
    }
    unsafe posix_spawnattr_setflags(&attributes, flags)

    // SAFETY: the copies live until after posix_spawn, which reads the arrays before it returns.
    let words = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
    let settings = unsafe variables.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
    defer { unsafe (words + settings).forEach { unsafe free($0) } }
    var identifier: pid_t = 0
    let status = unsafe posix_spawn(&identifier, path, &actions, &attributes, words, settings)
    for descriptor in [input.read, output.write, errorOutput.write] { close(descriptor) }
    guard status == 0 else {
      for descriptor in [input.write, output.read, errorOutput.read] { close(descriptor) }
      throw .cannotStart(path: path, errno: status)
    }
    return (identifier, input.write, output.read, errorOutput.read)
  }

  /// Standard output so far.
  package var outputSoFar: [UInt8] { state.withLock { $0.output } }

  /// Standard error so far.
  package var errorOutputSoFar: [UInt8] { state.withLock { $0.errorOutput } }

  /// Writes to the child's standard input; false when it has closed that.
  @discardableResult
  package func write(_ text: String) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = unsafe bytes.withUnsafeBytes { bytes in
        unsafe Glibc.write(input, bytes.baseAddress, bytes.count)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return false }
      bytes = bytes.dropFirst(count)
    }
    return true
  }

  /// Ends the child's standard input.
  package func closeInput() {
    state.withLock { state in
      if state.inputIsOpen { close(input) }
      state.inputIsOpen = false
    }
  }

  deinit { closeInput() }

  /// Sends a signal, such as SIGINT, unless the child is over.
  package func send(_ signal: Int32) {
    state.withLock { if !$0.isOver { kill(identifier, signal) } }
  }

  /// Sends a signal to the child and all in its group, which must be its own, as a terminal does.
  package func sendToGroup(_ signal: Int32) {
    state.withLock { if !$0.isOver { kill(-identifier, signal) } }
  }

  /// Waits until the collected standard output fulfils `condition`; false when that ended first.
  package func waitForOutput(_ condition: ([UInt8]) -> Bool) -> Bool {
    while true {
      let (output, hasEnded) = state.withLock { ($0.output, $0.outputHasEnded) }
      if condition(output) { return true }
      if hasEnded { return false }
      usleep(1_000)
    }
  }

  /// Waits for the child's end; its input stays open unless the caller has closed it.
  package func wait() -> Outcome {
    // SAFETY: the child is only reaped below, under the lock, so its number stays its own until then.
    var information = unsafe siginfo_t()
    while unsafe waitid(P_PID, id_t(identifier), &information, WEXITED | WNOWAIT) < 0
      && errno == EINTR
    {}
    let duration = ContinuousClock.now - started
    var (status, usage) = (Int32(0), rusage())
    state.withLock { state in
      while unsafe wait4(identifier, &status, 0, &usage) < 0 && errno == EINTR {}
      state.isOver = true
    }
    readers.wait()
    let signal = status & 0x7f
    return state.withLock { state in
      let reported = Int(usage.ru_maxrss) * 1_024
      return Outcome(
        output: state.output, errorOutput: state.errorOutput,
        exitStatus: signal == 0 ? (status >> 8) & 0xff : nil,
        signal: signal == 0 ? nil : signal,
        timedOut: state.timedOut, duration: duration,
        peakResidentBytes: reported > inheritedPeakBytes ? reported : state.peakResidentBytes)
    }
  }

  /// Hands every piece to `append`, and an empty one at the end.
  private func collect(
    from descriptor: Int32, into append: @escaping @Sendable (inout State, [UInt8]) -> Void
  ) {
    let thread = Thread { [self] in
      var buffer = [UInt8](repeating: 0, count: 65_536)
      while true {
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
          unsafe read(descriptor, bytes.baseAddress, bytes.count)
        }
        if count < 0 && errno == EINTR { continue }
        state.withLock { append(&$0, Array(buffer[..<max(0, count)])) }
        guard count > 0 else { break }
      }
      close(descriptor)
      readers.leave()
    }
    readers.enter()
    thread.start()
  }

  /// Samples the peak of resident memory every few milliseconds and ends a child whose time is up.
  ///
  /// The kernel's own figure in wait4 starts from the parent's resident size, which posix_spawn shares with the
  /// child until exec; it only counts when it lies above that.
  private func watch(until deadline: ContinuousClock.Instant) {
    let thread = Thread { [self] in
      while true {
        let peak = Self.peakBytes(of: "\(identifier)")
        let isOver = state.withLock { state in
          state.peakResidentBytes = max(state.peakResidentBytes, peak)
          if !state.isOver && !state.timedOut && ContinuousClock.now > deadline {
            state.timedOut = true
            kill(identifier, SIGKILL)
          }
          return state.isOver
        }
        if isOver { return }
        usleep(5_000)
      }
    }
    thread.start()
  }

  private static func pipe() -> (read: Int32, write: Int32) {
    var ends: [Int32] = [0, 0]
    let status = unsafe Glibc.pipe(&ends)
    precondition(status == 0, "pipe failed with errno \(errno)")
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  /// The largest resident size of a process so far; 0 once it has no memory any more.
  private static func peakBytes(of process: String) -> Int {
    // Not by Foundation, which leaks its buffer where the process ends meanwhile.
    let file = unsafe open("/proc/\(process)/status", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 16_384)
    // SAFETY: read writes at most the bytes that it is given.
    let count = unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe Glibc.read(file, bytes.baseAddress, bytes.count)
    }
    guard
      let line = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self).split(separator: "\n")
        .first(where: { $0.hasPrefix("VmHWM:") }),
      let field = line.split(whereSeparator: \.isWhitespace).dropFirst().first,
      let kibibytes = Int(field)
    else { return 0 }
    return kibibytes * 1_024
  }
}
