/// How large tiles are: as many as keep every worker busy to the end, and no more.
///
/// Costs count entries, as many as leaves of full size hold: a page that is read for few rows takes the time of its bytes, one that is read for many
/// rows the time of its multiplications, which break even near 12 rows.
struct TileSize {
  /// The largest cost of a tile, where leaves allow it; everything for a single worker.
  let limit: Int
  let workerCount: Int

  /// About 24 tiles for each worker: the last one to be taken then costs 4 % of the worker's time at most.
  private static let tilesPerWorker = 24

  static func entryCost(rowCount: Int) -> Int { max(fewRows, rowCount) }

  /// Rows that cost no more than the page they read.
  private static let fewRows = 12

  init(totalCost: Int, workerCount: Int) {
    self.workerCount = workerCount
    limit = workerCount == 1 ? .max : max(totalCost / (Self.tilesPerWorker * workerCount), 1)
  }

  /// Level of a job's tiles in the tree of leaves; `MergeTree.wholeLevel` for a tile of all its leaves.
  func level(of job: PlannedJob) -> Int {
    if job.cost <= limit { return MergeTree.wholeLevel }
    let leaves = limit / job.leafCost
    return leaves < 1 ? 0 : Int.bitWidth - 1 - leaves.leadingZeroBitCount
  }

  /// Whether the leaves of a job with a horizon are shared out once its reference leaves are known.
  ///
  /// A job of few rows leaves next to nothing behind, so its unknown rest is always shared out.
  func isSplit(_ job: PlannedJob) -> Bool {
    limit != .max && (job.rowCount <= Self.fewRows || job.cost > limit)
  }

  /// Most tiles of jobs that are cut by this rule, over the two for the ends of each job.
  ///
  /// Any other tile takes over half of the limit, and the limit is no less than half of what the wanted number of
  /// tiles would take each, unless it is 1 and the total below their number.
  static func mostTiles(workerCount: Int) -> Int { 4 * tilesPerWorker * workerCount }
}
