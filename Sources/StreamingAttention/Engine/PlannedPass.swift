/// Who computes the leaves of a job.
enum JobRole: UInt8, BitwiseCopyable {
  /// Its own tiles, all of them.
  case whole
  /// The tiles of passes, which may be for rows of other jobs too; its rows' states are joined in its own tree.
  case tree
  /// It computes neighbouring leaves for the rows of jobs that own trees (`PassMember`), and joins nothing itself.
  case pass
}

/// The rows of a job with a tree of its own among those of a pass.
struct PassMember: BitwiseCopyable {
  /// The job, by index.
  var job: Int
  /// The first of the job's leaves that the pass computes, by index: equal to the pass's own.
  var firstLeaf: Int
  /// Its first query among those of the pass.
  var firstQuery: Int
  /// Which tile of the job's tree the first tile of the pass is.
  var firstRank = 0
}

/// What a plan finds out about a leaf while it looks for others that are equal.
struct LeafSharing: BitwiseCopyable {
  static let none: Int32 = -1

  var request: Int32
  /// The first leaf of the table that is equal; itself if there is none before.
  var leader: Int32
  /// The next leader that begins with the same page.
  var variant = LeafSharing.none
  /// The block of rows that passes it, counted within a shape; none if no block does.
  var block = LeafSharing.none
  /// The equal leaf of the next block that passes it together with this one.
  var next = LeafSharing.none
  /// Of a leader: the last leaf so far in the chain of `next` that is being made, and the rows in the chain.
  var last = LeafSharing.none
  var chainRows: Int32 = 0
  /// Whether a chain begins here.
  var isHead = false
  /// The pass of KV head 0 that begins with this leaf, and its block's place among the pass's members.
  var pass = LeafSharing.none
  var place: Int32 = 0

  init(request: Int, leader: Int) {
    self.request = Int32(request)
    self.leader = Int32(leader)
  }

  /// Forgets what was found for a shape.
  mutating func removeBlocks() {
    self.block = Self.none
    next = Self.none
    last = Self.none
    (chainRows, isHead) = (0, false)
    pass = Self.none
  }
}
