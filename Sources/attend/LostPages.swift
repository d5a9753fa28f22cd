import Memory
import Glibc

/// A mapped file that another process has shortened, or that its disk no longer gives.
///
/// Touching what is gone is a signal, of which a program can only die; this one says why first.
enum LostPages {
  /// From now on; call once, early.
  static func report() {
    var action = sigaction()
    action.sa_flags = SA_SIGINFO
    unsafe action.__sigaction_handler.sa_sigaction = { _, information, _ in
      guard let information = unsafe information, unsafe information.pointee.si_code == BUS_ADRERR
      else {
        // Not for want of a page: the instruction runs again and ends as it would have.
        signal(SIGBUS, SIG_DFL)
        return
      }
      // Only what a signal handler may do, so no constant that is made when it is first used.
      let message: StaticString =
        "attend: a model or session file became shorter, or could not be read, while it was in use; to replace a file in use, rename another over it\n"
      Terminal.end(.inputOutput, saying: message)
    }
    unsafe sigaction(SIGBUS, &action, nil)
  }
}
