import Dispatch
import Glibc
import StreamingAttention
import Synchronization

/// Control-C: the first one asks running work to stop, a second one ends the process at once.
enum Interrupt {
  /// Set by the first interrupt.
  static let flag = CancellationFlag()

  private static let action = Mutex<(@Sendable () -> Void)?>(nil)

  /// What an interrupt stops beside those that look at `flag`; at once if it has come already.
  static func onInterrupt(_ body: @escaping @Sendable () -> Void) {
    action.withLock { $0 = body }
    if flag.isCancelled { body() }
  }

  /// Begins to listen, for as long as the result lives; call once, early.
  static func listen() -> any DispatchSourceSignal {
    signal(SIGINT, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
    source.setEventHandler {
      if flag.isCancelled { _exit(ExitStatus.interrupted.rawValue) }
      flag.cancel()
      action.withLock { $0 }?()
    }
    source.activate()
    return source
  }
}
