/// A block of query rows of one request and KV head, over all the leaves that any of them sees; or, as a pass, of several
/// requests over leaves that they share.
struct PlannedJob: BitwiseCopyable {
  /// Its index in the plan.
  let number: Int
  let request: Int
  let kvHead: Int
  /// Query tokens, relative to the request's first.
  let firstQuery: Int
  let queryCount: Int
  /// Queries times heads of the group.
  let rowCount: Int
  /// Floats of a state of its rows.
  let stateFloats: Int
  /// The leaves that its rows see, by index.
  var firstLeaf: Int
  var leafCount: Int
  /// Cost of a leaf of full size (see `TileSize`).
  let leafCost: Int
  /// Level of its tiles in the tree of leaves; `MergeTree.wholeLevel` where one tile takes all.
  var tileLevel = MergeTree.wholeLevel
  var tileCount = 1
  /// First of its state slots, and first of its counters, in the workspace; unused by a job of one tile.
  var firstFloat = 0
  var firstCounter = 0
  var horizon = JobHorizon.none
  var role = JobRole.whole
  /// Of a pass: for whom it computes its leaves, and the numbers of the nearest leaves around them that those see and it does
  /// not compute.
  var firstMember = 0
  var memberCount = 0
  var numberBefore = -1
  var numberAfter = Int.max
  /// Of a job with a tree of its own: the first of its tiles' numbers.
  var firstNode = 0
  /// In a step that notes attention: the entries that its rows see, and where its records and sums begin.
  var firstNoted = 0
  var notedCount = 0
  var firstRecord = 0
  var firstShare = 0
  /// The leaves that are a reference of any row, for a job with a horizon.
  var firstReference = 0
  var referenceCount = 0
  /// Where a job that is shared out keeps the states of its reference leaves, and the first leaf of each row.
  var firstReferenceFloat = 0
  var firstCut = 0

  /// Cost of all leaves that it computes.
  var cost: Int { role == .tree ? 0 : leafCount * leafCost }

  /// Cost of its largest tile.
  var tileCost: Int {
    if role == .tree { return 0 }
    if horizon == .references { return referenceCount * leafCost }
    return tileLevel == MergeTree.wholeLevel ? cost : min(cost, leafCost << tileLevel)
  }

  func isReference(_ leaf: Int) -> Bool {
    leaf >= firstReference && leaf < firstReference + referenceCount
  }

  /// Cuts its leaves into tiles.
  ///
  /// Leaves whose numbers lie far apart would make tiles of next to nothing: no more of them than neighbouring leaves make.
  mutating func cut(_ size: TileSize, leaves: borrowing GrowingBuffer<PlannedLeaf>) {
    tileLevel = size.level(of: self)
    tileCount = Self.tileCount(of: firstLeaf..<firstLeaf + leafCount, level: tileLevel, leaves)
    while tileCount > leafCount >> tileLevel + 2 {
      tileLevel += 1
      tileCount = Self.tileCount(of: firstLeaf..<firstLeaf + leafCount, level: tileLevel, leaves)
    }
  }

  private static func tileCount(
    of range: Range<Int>, level: Int, _ leaves: borrowing GrowingBuffer<PlannedLeaf>
  ) -> Int {
    let (first, last) = (leaves[range.lowerBound].number, leaves[range.upperBound - 1].number)
    if last - first == range.count - 1 { return (last >> level) - (first >> level) + 1 }
    var count = 1
    for leaf in range.dropFirst()
    where leaves[leaf].number >> level != leaves[leaf - 1].number >> level {
      count += 1
    }
    return count
  }

  /// Takes room for the states of its tiles and the counters of their tree.
  mutating func place(_ floats: inout Int, _ counters: inout Int) {
    guard tileCount > 1 else { return }
    firstFloat = floats
    firstCounter = counters
    floats += tileCount * stateFloats
    counters += tileCount - 1
  }
}

/// How a job finds the leaves that it need not read (Documentation/Attention.md, “ALiBi horizon”).
enum JobHorizon: UInt8, BitwiseCopyable {
  /// It reads all that its rows see.
  case none
  /// Its one tile computes the reference leaves first.
  case inTile
  /// Its tile computes the reference leaves; what else is to be read is then shared out.
  case references
  /// Its reference leaves are known, and its tiles read what is left.
  case rest
}
