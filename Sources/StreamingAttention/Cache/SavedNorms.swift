import KernelTable

/// What the norms of a table's newest page were before a step appended to it, in one column.
struct SavedNorms: BitwiseCopyable {
  /// The step that saved them, as the table counts steps.
  var step: Int
  var norms: PageNorms
}
