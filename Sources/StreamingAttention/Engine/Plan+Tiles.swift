extension Plan {
  /// Cuts the rows of every request into jobs and tiles, for each of the shapes.
  mutating func cutTiles(shapes: [PlanShape], workerCount: Int) throws(AttentionError) {
    for shape in shapes {
      try shapeTiles.append(tiles.count)
      try cutTiles(of: shape, workerCount: workerCount)
    }
    try shapeTiles.append(tiles.count)
  }

  private mutating func cutTiles(of shape: PlanShape, workerCount: Int) throws(AttentionError) {
    let queriesPerJob = max(1, Self.rowsPerJob / shape.group)
    let level = tileLevel(of: shape, queriesPerJob: queriesPerJob, workerCount: workerCount)
    var (floats, counters) = (0, 0)
    var entriesSeen = 0
    for r in 0..<requests.count where requests[r].queryCount > 0 {
      let request = requests[r]
      // Later rows see more leaves: they come first, so that the last tiles to be taken are short.
      var first = (request.queryCount - 1) / queriesPerJob * queriesPerJob
      while first >= 0 {
        let count = min(queriesPerJob, request.queryCount - first)
        let seen = leavesSeen(
          request: r, shape: shape, from: positions[request.queryPosition + first],
          to: positions[request.queryPosition + first + count - 1])
        entriesSeen += shape.kvHeads * entryCount(ofLeaves: seen)
        for kvHead in 0..<shape.kvHeads {
          try cutJob(
            PlannedJob(
              request: r, kvHead: kvHead, firstQuery: first, queryCount: count,
              span: MergeSpan(tileLevel: level, firstTile: 0, lastTile: 0), firstFloat: floats,
              firstCounter: counters),
            leaves: seen)
          let span = jobs[jobs.count - 1].span
          if span.tileCount > 1 {
            floats +=
              unsafe span.tileCount
              * StateRows.floatCount(
                rowCount: count * shape.group, outputStride: shape.outputStride)
            counters += span.innerNodeCount
          }
        }
        first -= queriesPerJob
      }
    }
    stateFloats = max(stateFloats, floats)
    counterCount = max(counterCount, counters)
    try shapeEntries.append(entriesSeen)
  }

  /// Entries of neighbouring leaves.
  private func entryCount(ofLeaves range: Range<Int>) -> Int {
    guard let last = range.last else { return 0 }
    return leaves[last].firstEntry + leaves[last].entryCount - leaves[range.lowerBound].firstEntry
  }

  private mutating func cutJob(_ planned: PlannedJob, leaves seen: Range<Int>)
    throws(AttentionError)
  {
    var job = planned
    if seen.isEmpty {
      try jobs.append(job)
      try tiles.append(PlannedTile(job: jobs.count - 1, index: -1, firstLeaf: 0, leafCount: 0))
      return
    }
    let level = job.span.tileLevel
    job.span.firstTile = leaves[seen.lowerBound].number >> level
    job.span.lastTile = leaves[seen.upperBound - 1].number >> level
    // A missing tile would be waited for in vain.
    precondition(
      leaves[seen.upperBound - 1].number - leaves[seen.lowerBound].number == seen.count - 1)
    try jobs.append(job)
    var first = seen.lowerBound
    while first < seen.upperBound {
      let index = leaves[first].number >> level
      var end = first + 1
      while end < seen.upperBound, leaves[end].number >> level == index { end += 1 }
      try tiles.append(
        PlannedTile(job: jobs.count - 1, index: index, firstLeaf: first, leafCount: end - first))
      first = end
    }
  }

  /// Leaves (indices into `leaves`) with a slot that a row at one of the positions sees.
  private func leavesSeen(request: Int, shape: PlanShape, from first: Int, to last: Int) -> Range<
    Int
  > {
    let table = tables[shape.table * requests.count + request]
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

  /// Level of the tiles in the tree of leaves: many rows take all leaves in one tile, few rows are cut by
  /// leaves until every worker has about 24 tiles to take.
  private func tileLevel(of shape: PlanShape, queriesPerJob: Int, workerCount: Int) -> Int {
    var jobCount = 0
    var leafCount = 0
    for r in 0..<requests.count where requests[r].queryCount > 0 {
      let blocks = (requests[r].queryCount + queriesPerJob - 1) / queriesPerJob
      jobCount += blocks * shape.kvHeads
      leafCount +=
        blocks * shape.kvHeads * tables[shape.table * requests.count + r].leafCount
    }
    if workerCount == 1 || jobCount >= 24 * workerCount { return 40 }
    let wanted = leafCount / (24 * workerCount)
    return wanted < 1 ? 0 : Int.bitWidth - 1 - wanted.leadingZeroBitCount
  }
}

extension Plan {
  /// Rows of the largest job of a shape with that group.
  func largestJobRows(group: Int) -> Int {
    let queriesPerJob = max(1, Self.rowsPerJob / group)
    var rows = 0
    for r in 0..<requests.count {
      rows = max(rows, min(queriesPerJob, requests[r].queryCount) * group)
    }
    return rows
  }
}
