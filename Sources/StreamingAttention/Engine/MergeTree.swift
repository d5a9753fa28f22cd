/// The one order in which leaf states are joined, as a pure function of leaf numbers.
///
/// Node (level, index) joins the leaves [index·2^level, (index + 1)·2^level). A node whose sibling holds no
/// leaf of the range passes its state up unchanged; the leaves of a range are consecutive. Whoever computes the
/// parts, in whatever order, on whatever worker or machine, the additions are the same.
struct MergeNode: Equatable, BitwiseCopyable {
  var level: Int
  var index: Int

  /// The number of the first leaf that the node could hold.
  var firstLeaf: Int { index << level }
  var parent: MergeNode { MergeNode(level: level + 1, index: index >> 1) }
  var isLeft: Bool { index & 1 == 0 }
}

/// What to do with a state that has just been computed or joined on a serial stack.
enum MergeStep: Equatable {
  /// The state below on the stack is the left sibling: join, and ask again for the parent.
  case join(MergeNode)
  /// No left sibling exists: the state is its parent's state as well.
  case promote(MergeNode)
  /// The right sibling may still come.
  case wait
}

extension MergeNode {
  /// The next action for this node when `below` is what lies under it on the stack.
  func step(below: MergeNode?) -> MergeStep {
    if isLeft { return .wait }
    if let below, below.level == level, below.index == index - 1 { return .join(parent) }
    return .promote(parent)
  }
}

/// The part of the tree above the tiles of one job: tiles are nodes of level `tileLevel`.
///
/// States live in one slot per tile; the state of an inner node lives in the slot of its leftmost tile.
struct MergeSpan: Equatable, BitwiseCopyable {
  var tileLevel: Int
  /// Index of the first and last tile at `tileLevel`.
  var firstTile: Int
  var lastTile: Int

  init(tileLevel: Int, firstTile: Int, lastTile: Int) {
    self.tileLevel = tileLevel
    self.firstTile = firstTile
    self.lastTile = lastTile
  }

  /// Above every tree: one tile takes all leaves.
  static let wholeLevel = 40

  /// The span of a job that is one tile.
  static var whole: MergeSpan { MergeSpan(tileLevel: wholeLevel, firstTile: 0, lastTile: 0) }

  var tileCount: Int { lastTile - firstTile + 1 }

  /// Levels above the tiles until one node is left.
  var levelCount: Int {
    var (first, last, levels) = (firstTile, lastTile, 0)
    while first != last {
      first >>= 1
      last >>= 1
      levels += 1
    }
    return levels
  }

  /// Inner nodes, over all levels: one counter each.
  var innerNodeCount: Int {
    var (first, last, count) = (firstTile, lastTile, 0)
    while first != last {
      first >>= 1
      last >>= 1
      count += last - first + 1
    }
    return count
  }

  /// Number of an inner node among the counters; `height` is its level above the tiles, from 1.
  func counter(height: Int, index: Int) -> Int {
    var (first, last, offset) = (firstTile >> 1, lastTile >> 1, 0)
    var h = 1
    while h < height {
      offset += last - first + 1
      first >>= 1
      last >>= 1
      h += 1
    }
    return offset + index - first
  }

  /// Slot of a node's state; `height` 0 is a tile.
  func slot(height: Int, index: Int) -> Int { max(index << height, firstTile) - firstTile }

  /// Whether a node of that height holds any tile.
  func holds(height: Int, index: Int) -> Bool {
    index >= firstTile >> height && index <= lastTile >> height
  }
}
