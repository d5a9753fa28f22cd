import Glibc

/// Lets a task give up where it waits for its turn in a folder, as an interrupt asks for.
///
/// It counts while it is the task's current one.
package final class TurnPatience: Sendable {
  /// That of this task; nil for one that waits for as long as it takes.
  @TaskLocal package static var current: TurnPatience?

  /// The number of the error of one that has given up.
  package static var givenUp: Int32 { ECANCELED }

  /// Asked while it waits.
  let isOver: @Sendable () -> Bool

  /// Gives up once `isOver` says so.
  package init(until isOver: @escaping @Sendable () -> Bool) { self.isOver = isOver }
}
