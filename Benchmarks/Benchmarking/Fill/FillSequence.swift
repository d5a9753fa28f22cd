/// What one sequence of a synthetic cache holds, and what it does in a measured step.
package struct FillSequence: Sendable, Equatable {
  /// Tokens that are written into the pages.
  package var filled: Int
  /// Tokens that the step appends.
  package var appended: Int
  /// The newest rows that ask in the step, appended ones included.
  package var queries: Int

  package init(filled: Int, appended: Int = 0, queries: Int = 1) {
    self.filled = filled
    self.appended = appended
    self.queries = queries
  }

  /// Tokens once the step has appended its own.
  package var length: Int { filled + appended }
}
