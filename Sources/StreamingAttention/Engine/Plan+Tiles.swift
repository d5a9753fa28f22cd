extension Plan {
  /// Cuts the rows of every request into jobs and tiles, for each of the shapes.
  mutating func cutTiles(shapes: [PlanShape], workerCount: Int) throws(AttentionError) {
    for shape in shapes {
      let firstJob = jobs.count
      try shapeJobs.append(firstJob)
      try shapeTiles.append(tiles.count)
      try listJobs(of: shape)
      try fuseJobs(firstJob..<jobs.count, of: shape)
      try shapeEntries.append(entryCount(ofJobs: firstJob..<jobs.count))
      placeRecords(of: firstJob..<jobs.count)
      try shapeReferences.append(references.count)
      if shape.hasHorizon { try listReferences(of: shape, jobs: firstJob..<jobs.count) }
      let size = TileSize(totalCost: totalCost(firstJob..<jobs.count), workerCount: workerCount)
      try cutJobs(firstJob..<jobs.count, size)
      try listTiles(of: firstJob..<jobs.count)
    }
    try shapeJobs.append(jobs.count)
    try shapeTiles.append(tiles.count)
  }

  /// Lists a shape's jobs with the leaves that they see.
  private mutating func listJobs(of shape: PlanShape) throws(AttentionError) {
    let queriesPerJob = max(1, Self.rowsPerJob / shape.group)
    for r in 0..<requests.count where requests[r].queryCount > 0 {
      let request = requests[r]
      let table = tables[shape.table * requests.count + r]
      let leafEntries = SummationOrder.leafEntries(liveEntries: table.entryCount)
      // Later rows see more leaves: they come first, so that the last tiles to be taken are short.
      var first = (request.queryCount - 1) / queriesPerJob * queriesPerJob
      while first >= 0 {
        let count = min(queriesPerJob, request.queryCount - first)
        let seen = leavesSeen(
          by: table, shape: shape, from: positions[request.queryPosition + first],
          to: positions[request.queryPosition + first + count - 1])
        let entryCost = TileSize.entryCost(rowCount: count * shape.group)
        for kvHead in 0..<shape.kvHeads {
          try jobs.append(
            PlannedJob(
              number: jobs.count, request: r, kvHead: kvHead, firstQuery: first, queryCount: count,
              rowCount: count * shape.group,
              stateFloats: unsafe StateRows.floatCount(
                rowCount: count * shape.group, outputStride: shape.outputStride),
              firstLeaf: seen.lowerBound, leafCount: seen.count, leafCost: leafEntries * entryCost))
        }
        first -= queriesPerJob
      }
    }
  }

  /// Entries that jobs read in all.
  private func entryCount(ofJobs range: Range<Int>) -> EntryCounts {
    var counts = EntryCounts()
    for index in range where jobs[index].role != .tree && jobs[index].leafCount > 0 {
      for leaf in jobs[index].firstLeaf..<jobs[index].firstLeaf + jobs[index].leafCount {
        counts.coded += leaves[leaf].codedCount
        counts.plain += leaves[leaf].entryCount - leaves[leaf].codedCount
      }
    }
    return counts
  }

  private func totalCost(_ range: Range<Int>) -> Int {
    var cost = 0
    for index in range { cost += jobs[index].cost }
    return cost
  }

  /// Leaves (indices into `leaves`) with a slot that a row at one of the positions sees.
  private func leavesSeen(
    by table: PlannedTable, shape: PlanShape, from first: Int, to last: Int
  ) -> Range<Int> {
    var range = table.firstLeaf..<(table.firstLeaf + table.leafCount)
    let ahead = shape.isCausal ? 0 : shape.rightWindow
    if ahead != .max {
      while let end = range.last, leaves[end].firstPosition - last > ahead {
        range = range.lowerBound..<end
      }
    }
    while let start = range.first,
      shape.window != .max, first - leaves[start].lastPosition >= shape.window
    {
      range = (start + 1)..<range.upperBound
    }
    return range
  }

  /// Decides the size of each job's tiles, and gives its states and counters their places.
  private mutating func cutJobs(_ range: Range<Int>, _ size: TileSize) throws(AttentionError) {
    var (floats, counters) = (0, 0)
    var later = LaterNeeds()
    for index in range where jobs[index].role == .pass { cutPass(index, size) }
    for index in range where jobs[index].leafCount > 0 && jobs[index].role != .pass {
      if jobs[index].role == .tree {
        try plantTree(index)
        jobs[index].place(&floats, &counters)
      } else if jobs[index].horizon == .inTile, size.isSplit(jobs[index]) {
        jobs[index].horizon = .references
        jobs[index].firstReferenceFloat = later.referenceFloats
        jobs[index].firstCut = later.cuts
        later.add(jobs[index])
      } else if jobs[index].horizon == .none {
        jobs[index].cut(size, leaves: leaves)
        jobs[index].place(&floats, &counters)
      }
    }
    if later.jobs > 0 {
      floats = max(floats, later.largestStateFloats(workerCount: size.workerCount))
      counters = max(counters, later.largestCounterCount(workerCount: size.workerCount))
      laterNeeds.formMaximum(with: later)
    }
    stateFloats = max(stateFloats, floats)
    counterCount = max(counterCount, counters)
  }

  /// Lists the tiles of jobs, those of the largest tiles first.
  private mutating func listTiles(of range: Range<Int>) throws(AttentionError) {
    try order.reserveCapacity(range.count)
    order.sort(jobs, range)
    for place in 0..<range.count {
      let job = jobs[order[place]]
      if job.role == .tree { continue }
      try tiles.reserveCapacity(tiles.count + job.tileCount)
      if job.role == .pass {
        listTiles(ofPass: job)
      } else {
        tiles.appendReserved(tilesOf: job, number: job.number, leaves: leaves)
      }
    }
  }

  /// Rows of the largest job of a shape with that group.
  func largestJobRows(group: Int) -> Int {
    let queriesPerJob = max(1, Self.rowsPerJob / group)
    var rows = largestPassRows
    for r in 0..<requests.count {
      rows = max(rows, min(queriesPerJob, requests[r].queryCount) * group)
    }
    return rows
  }
}

extension GrowingBuffer where Element == PlannedTile {
  /// Appends a job's tiles, oldest leaves first, within capacity reserved before.
  mutating func appendReserved(
    tilesOf job: PlannedJob, number: Int, leaves: borrowing GrowingBuffer<PlannedLeaf>
  ) {
    if job.leafCount == 0 {
      appendReserved(PlannedTile(job: number, index: -1, rank: 0, firstLeaf: 0, leafCount: 0))
      return
    }
    let level = job.tileLevel
    let end = job.firstLeaf + job.leafCount
    var (first, rank) = (job.firstLeaf, 0)
    while first < end {
      let index = leaves[first].number >> level
      var next = first + 1
      while next < end, leaves[next].number >> level == index { next += 1 }
      appendReserved(
        PlannedTile(
          job: number, index: index, rank: rank, firstLeaf: first, leafCount: next - first))
      first = next
      rank += 1
    }
    // A missing tile would be waited for in vain.
    precondition(rank == job.tileCount)
  }
}
