/// The one order in which leaf states are joined, as a pure function of leaf numbers.
///
/// Node (level, index) of the tree joins the leaves [index·2^level, (index + 1)·2^level). A node of which only one half
/// holds a leaf passes that half's state up unchanged, so two neighbouring leaves, however far apart their numbers, are
/// joined at their lowest common ancestor. Whoever computes the parts, in whatever order, on whatever worker or
/// machine, the additions are the same.
enum MergeTree {
  /// Above every tree: a node of this level holds all leaves.
  static let wholeLevel = 40

  /// Level of the lowest node that holds both numbers, counted from theirs: 0 if they are equal.
  static func level(joining left: Int, _ right: Int) -> Int {
    Int.bitWidth - (left ^ right).leadingZeroBitCount
  }
}

/// States of leaves that come in ascending order, waiting to be joined on a serial stack.
///
/// The levels at which neighbours on the stack will be joined fall from the bottom to the top: a state on top is joined
/// with the one below as soon as the next leaf lies outside of their node.
struct MergeStack {
  /// States that may wait at once: one more than the levels of a tree over 2²⁹ leaves.
  static let mostStates = 30

  /// The level at which each state is joined with the one below it.
  private var levels = InlineArray<30, Int>(repeating: 0)
  private(set) var count = 0
  private var newest = 0

  /// Whether the two states on top are to be joined before a leaf comes.
  func joinsTop(before leaf: Int) -> Bool {
    count > 1 && levels[count - 1] < MergeTree.level(joining: newest, leaf)
  }

  /// The state on top has been joined into the one below.
  mutating func join() { count -= 1 }

  /// A leaf's state has been put on top.
  mutating func push(_ leaf: Int) {
    levels[count] = count > 0 ? MergeTree.level(joining: newest, leaf) : 0
    newest = leaf
    count += 1
  }
}

/// A node above the tiles of a job, which are nodes of one level: the ranks of the tiles whose states it joins.
///
/// States live in one slot for each tile, the state of a node in that of its first tile. The node that joins tiles on both
/// sides of the border before rank r has counter r − 1: there is one for each border.
struct MergeNode: Equatable {
  var tiles: Range<Int>

  /// Where the node's state is joined with its sibling's.
  struct Join: Equatable {
    /// First tile of the left half: where its state is, and the joined one will be.
    var left: Int
    /// First tile of the right half.
    var right: Int
    var parent: MergeNode
    var counter: Int { right - 1 }
  }

  /// The next join on the way up, `number` giving each tile's index at the level of the tiles; nil at the top.
  func join(tileCount: Int, _ number: (Int) -> Int) -> Join? {
    var (start, end) = (tiles.lowerBound, tiles.upperBound)
    let below = start > 0 ? MergeTree.level(joining: number(start - 1), number(start)) : .max
    let above = end < tileCount ? MergeTree.level(joining: number(end - 1), number(end)) : .max
    // The two are never equal: in the parent's node the sibling lies on one side.
    let level = min(below, above)
    guard level != .max else { return nil }
    let right = below < above ? start : end
    let index = number(start) >> level
    while start > 0, number(start - 1) >> level == index { start -= 1 }
    while end < tileCount, number(end) >> level == index { end += 1 }
    return Join(left: start, right: right, parent: MergeNode(tiles: start..<end))
  }
}
