import Dispatch
import Glibc
import StreamingAttention
import Synchronization

/// Control-C: stops what can be stopped and undone, and ends the process at once where nothing of the kind is running.
enum Interrupt {
  /// Set by the first interrupt that found something to stop.
  static let flag = CancellationFlag()

  private static let stop = Mutex<(@Sendable () -> Void)?>(nil)

  /// From now on an interrupt sets `flag` and calls `body`; a second one ends the process.
  ///
  /// `body` may come too early for work that has yet to be made: look at `flag` once it is.
  static func begin(_ body: @escaping @Sendable () -> Void) { stop.withLock { $0 = body } }

  /// From now on an interrupt ends the process again; throws if one has come since `begin`.
  static func end() throws(CommandFailure) {
    stop.withLock { $0 = nil }
    if flag.isCancelled { throw CommandFailure(.interrupted, message) }
  }

  /// Begins to listen, for as long as the result lives; call once, early.
  static func listen() -> any DispatchSourceSignal {
    signal(SIGINT, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
    source.setEventHandler {
      let isHandled = stop.withLock { stop in
        guard let stop, !flag.isCancelled else { return false }
        flag.cancel()
        stop()
        return true
      }
      guard !isHandled else { return }
      Terminal.note("attend: \(message)")
      _exit(ExitStatus.interrupted.rawValue)
    }
    source.activate()
    return source
  }

  static let message = "interrupted"
}
