/// What jobs with a horizon need between the two runs of a layer, at most.
struct LaterNeeds: BitwiseCopyable {
  var jobs = 0
  /// Floats of all reference states.
  var referenceFloats = 0
  /// Rows whose first leaf is noted.
  var cuts = 0
  /// Floats of a state of each job, and of the largest.
  private var stateFloats = 0
  private var largestState = 0

  init() {}

  mutating func add(_ job: PlannedJob) {
    jobs += 1
    referenceFloats += job.referenceCount * job.stateFloats
    cuts += job.rowCount
    stateFloats += job.stateFloats
    largestState = max(largestState, job.stateFloats)
  }

  mutating func formMaximum(with other: LaterNeeds) {
    jobs = max(jobs, other.jobs)
    referenceFloats = max(referenceFloats, other.referenceFloats)
    cuts = max(cuts, other.cuts)
  }

  func largestTileCount(workerCount: Int) -> Int {
    TileSize.mostTiles(workerCount: workerCount) + 2 * jobs
  }

  /// Floats of the states of all tiles, however much of their leaves the jobs turn out to read.
  func largestStateFloats(workerCount: Int) -> Int {
    TileSize.mostTiles(workerCount: workerCount) * largestState + 2 * stateFloats
  }

  /// Inner nodes of the jobs' trees: less than one for each tile.
  func largestCounterCount(workerCount: Int) -> Int { largestTileCount(workerCount: workerCount) }
}

/// What a layer's second run computes: the leaves that its first run found to matter.
///
/// Made by the calling thread between the runs, from values; the cut changes no bit, since a leaf that is left out
/// of a row's tree is the same as one that holds nothing for the row.
struct LaterPlan: ~Copyable {
  private(set) var jobs: GrowingBuffer<PlannedJob>
  private(set) var tiles: GrowingBuffer<PlannedTile>
  private var order: SizeOrder

  init() throws(AttentionError) {
    let jobs = try GrowingBuffer<PlannedJob>()
    let tiles = try GrowingBuffer<PlannedTile>()
    let order = try SizeOrder()
    self.jobs = jobs
    self.tiles = tiles
    self.order = order
  }

  mutating func reserveCapacity(_ needs: LaterNeeds, workerCount: Int) throws(AttentionError) {
    try jobs.reserveCapacity(needs.jobs)
    try tiles.reserveCapacity(needs.largestTileCount(workerCount: workerCount))
    try order.reserveCapacity(needs.jobs)
  }

  /// Plans what is left of a shape's jobs once their reference leaves are known; allocates nothing.
  mutating func plan(
    _ plan: borrowing Plan, jobs range: Range<Int>,
    outcomes: borrowing GrowingBuffer<HorizonOutcome>, workerCount: Int
  ) {
    jobs.removeAll()
    tiles.removeAll()
    var cost = 0
    for index in range where plan.jobs[index].horizon == .references && !outcomes[index].isDone {
      var job = plan.jobs[index]
      let first = outcomes[index].firstLeaf
      job.leafCount -= first - job.firstLeaf
      job.firstLeaf = first
      job.horizon = .rest
      cost += job.cost
      jobs.appendReserved(job)
    }
    let size = TileSize(totalCost: cost, workerCount: workerCount)
    var (floats, counters) = (0, 0)
    for index in 0..<jobs.count {
      jobs[index].cut(size, leaves: plan.leaves)
      jobs[index].place(&floats, &counters)
    }
    precondition(floats <= plan.stateFloats && counters <= plan.counterCount)
    order.sort(jobs, 0..<jobs.count)
    for place in 0..<jobs.count {
      tiles.appendReserved(tilesOf: jobs[order[place]], number: order[place], leaves: plan.leaves)
    }
  }
}
