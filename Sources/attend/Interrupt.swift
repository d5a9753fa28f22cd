import Memory
import Dispatch
import Glibc
import StreamingAttention
import Synchronization

/// Control-C and SIGTERM: stop what can be stopped and undone, and end the process at once where nothing of the kind is running.
enum Interrupt {
  /// Set by the first signal that found something to stop.
  static let flag = CancellationFlag()

  private struct State: Sendable {
    var stop: (@Sendable () -> Void)?
    /// What has set `flag`.
    var signal: Int32?
  }

  private static let state = Mutex(State())

  /// From now on a signal sets `flag` and calls `body`; a second one ends the process.
  ///
  /// `body` may come too early for work that has yet to be made: look at `flag` once it is.
  static func begin(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.stop = body } }

  /// From now on a signal ends the process again; throws if one has come since `begin`.
  static func end() throws(CommandFailure) {
    state.withLock { $0.stop = nil }
    if flag.isCancelled { throw CommandFailure(.interrupted, message) }
  }

  /// Begins to listen, for as long as the result lives; call once, early.
  static func listen() -> [any DispatchSourceSignal] {
    [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { receive(number) }
      source.activate()
      return source
    }
  }

  private static func receive(_ signal: Int32) {
    let isHandled = state.withLock { state in
      guard let stop = state.stop, state.signal == nil else { return false }
      state.signal = signal
      flag.cancel()
      stop()
      return true
    }
    guard !isHandled else { return }
    Terminal.note("attend: \(message(of: signal))")
    _exit(status(of: signal).rawValue)
  }

  /// What the signal that has set `flag` is called.
  static var message: String { message(of: received) }

  /// How the command ends that the signal has stopped.
  static var status: ExitStatus { status(of: received) }

  private static var received: Int32 { state.withLock { $0.signal ?? SIGINT } }

  private static func message(of signal: Int32) -> String {
    signal == SIGTERM ? "terminated" : "interrupted"
  }

  private static func status(of signal: Int32) -> ExitStatus {
    signal == SIGTERM ? .terminated : .interrupted
  }
}
