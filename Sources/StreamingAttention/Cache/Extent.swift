/// Consecutive memory for the pages of neighbouring entries of one sequence: one run for each layer and
/// KV head of a pool, all of the same number of pages.
struct Extent: BitwiseCopyable {
  var pageCount: Int32
  /// Pages handed out from the front.
  var usedPages: Int32
  /// Pages whose set is still named by an entry.
  var livePages: Int32
  /// Index into the nodes of the placement.
  var node: Int32
  /// One of its live page sets, from which the others follow; −1 for none.
  var firstSet: Int32 = -1
  /// Whether it is a sequence's newest; one that is not is freed with its last live page.
  var isOpen: Bool
  /// Whether its pages are for codes.
  var isCoded: Bool
  /// The round in which it was last marked as one that is not to be emptied.
  var sparedIn: UInt64 = 0

  var isFull: Bool { usedPages == pageCount }

  static let unused = Extent(
    pageCount: 0, usedPages: 0, livePages: 0, node: 0, isOpen: false, isCoded: false)
}
