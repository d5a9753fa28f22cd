/// A block of query rows of one request and KV head, over all the leaves that any of them sees.
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
  var span = MergeSpan.whole
  /// First of its state slots, and first of its counters, in the workspace; unused by a job of one tile.
  var firstFloat = 0
  var firstCounter = 0
  var horizon = JobHorizon.none
  /// The leaves that are a reference of any row, for a job with a horizon.
  var firstReference = 0
  var referenceCount = 0
  /// Where a job that is shared out keeps the states of its reference leaves, and the first leaf of each row.
  var firstReferenceFloat = 0
  var firstCut = 0

  /// Cost of all its leaves.
  var cost: Int { leafCount * leafCost }

  /// Cost of its largest tile.
  var tileCost: Int {
    if horizon == .references { return referenceCount * leafCost }
    return span.tileLevel == MergeSpan.wholeLevel ? cost : min(cost, leafCost << span.tileLevel)
  }

  func isReference(_ leaf: Int) -> Bool {
    leaf >= firstReference && leaf < firstReference + referenceCount
  }

  /// Cuts its leaves into tiles.
  mutating func cut(_ size: TileSize, leaves: borrowing GrowingBuffer<PlannedLeaf>) {
    let level = size.level(of: self)
    span = MergeSpan(
      tileLevel: level, firstTile: leaves[firstLeaf].number >> level,
      lastTile: leaves[firstLeaf + leafCount - 1].number >> level)
  }

  /// Takes room for the states of its tiles and the counters of their tree.
  mutating func place(_ floats: inout Int, _ counters: inout Int) {
    guard span.tileCount > 1 else { return }
    firstFloat = floats
    firstCounter = counters
    floats += span.tileCount * stateFloats
    counters += span.innerNodeCount
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
