import KernelTable

/// Leaves that several sequences of a step share are read once for the rows of all.
///
/// A leaf's state in a row depends on the leaf and the row alone, and each row's states are joined in the order of its own
/// tree, so this changes no bit.
extension Plan {
  /// Leaves with the same first page that a leaf is compared with at most.
  private static let mostVariants = 16
  /// Rows of a block that is fused with others at most: with more of them there is enough to multiply for each page read.
  private static let mostFusedRows = rowsPerJob / 2

  // MARK: Equal leaves

  /// Finds the leaves that are equal in several requests, table by table; `isKnown` says whether those of the step before
  /// were found.
  mutating func findEqualLeaves(afterKnown isKnown: Bool) throws(AttentionError) {
    equalLeafCount = 0
    guard requests.count > 0 else { return }
    if !isKnown {
      for index in 0..<tables.count { tables[index].firstChangedLeaf = tables[index].firstLeaf }
    }
    for table in 0..<tables.count / requests.count { try findEqualLeaves(table: table) }
    knowsEqualLeaves = true
  }

  /// Finds the leaves of a table that are equal in several requests.
  ///
  /// What was found in the step before holds for leaves that have not changed since: only others are compared.
  private mutating func findEqualLeaves(table: Int) throws(AttentionError) {
    let own = table * requests.count..<(table + 1) * requests.count
    if sharing.count != leaves.count { try sharing.discardAndResize(to: leaves.count) }
    guard requests.count > 1 else { return }
    var largestPage = -1
    for index in own {
      let planned = tables[index]
      for leaf in planned.firstLeaf..<planned.firstLeaf + planned.leafCount {
        largestPage = max(largestPage, firstPage(of: leaf))
        if leaf >= planned.firstChangedLeaf {
          sharing[leaf] = LeafSharing(request: index - own.lowerBound, leader: leaf)
        }
      }
    }
    try leafOfPage.reserveCapacity(largestPage + 1)
    while leafOfPage.count <= largestPage { leafOfPage.appendReserved(LeafSharing.none) }
    for index in own { findLeaders(of: tables[index], table: table) }
    for index in own {
      let planned = tables[index]
      for leaf in planned.firstLeaf..<planned.firstLeaf + planned.leafCount {
        leafOfPage[firstPage(of: leaf)] = LeafSharing.none
      }
    }
  }

  private func firstPage(of leaf: Int) -> Int { Int(entries[leaves[leaf].firstEntry].page) }

  private mutating func findLeaders(of planned: PlannedTable, table: Int) {
    for leaf in planned.firstLeaf..<planned.firstLeaf + planned.leafCount {
      let page = firstPage(of: leaf)
      let known = Int(sharing[leaf].leader)
      let owner = tables[table * requests.count + Int(sharing[known].request)]
      var isKnown = leaf < planned.firstChangedLeaf && known < owner.firstChangedLeaf
      if !isKnown {
        var (candidate, tried) = (leafOfPage[page], 0)
        sharing[leaf].leader = Int32(leaf)
        while candidate != LeafSharing.none, tried < Self.mostVariants, !isKnown {
          if areEqual(Int(candidate), leaf, table: table) {
            sharing[leaf].leader = candidate
            isKnown = true
          }
          candidate = sharing[Int(candidate)].variant
          tried += 1
        }
      }
      if Int(sharing[leaf].leader) == leaf {
        sharing[leaf].variant = leafOfPage[page]
        leafOfPage[page] = Int32(leaf)
      } else {
        equalLeafCount += 1
      }
    }
  }

  /// Whether two leaves hold the same slots of the same pages at the same positions, under one number, and turn a query
  /// alike once it is turned by run 0.
  private func areEqual(_ first: Int, _ second: Int, table: Int) -> Bool {
    let (left, right) = (leaves[first], leaves[second])
    guard left.number == right.number, left.entryCount == right.entryCount else { return false }
    let (leftRequest, rightRequest) = (Int(sharing[first].request), Int(sharing[second].request))
    guard requests[leftRequest].epoch == requests[rightRequest].epoch,
      requests[leftRequest].length == requests[rightRequest].length
    else { return false }
    let leftTable = tables[table * requests.count + leftRequest]
    let rightTable = tables[table * requests.count + rightRequest]
    guard
      SummationOrder.leafEntries(liveEntries: leftTable.entryCount)
        == SummationOrder.leafEntries(liveEntries: rightTable.entryCount),
      runs[leftTable.firstRun] == runs[rightTable.firstRun]
    else { return false }
    for offset in 0..<left.entryCount {
      let own = entries[left.firstEntry + offset]
      var other = entries[right.firstEntry + offset]
      // Counts keys for an additive bias, with which rows are computed request by request.
      other.firstKey = own.firstKey
      guard own == other,
        runs[leftTable.firstRun + Int(own.run)] == runs[rightTable.firstRun + Int(own.run)]
      else { return false }
    }
    return true
  }

  // MARK: Passes

  /// Gives the leaves of a shape's jobs to passes, where several blocks of rows have equal ones.
  ///
  /// Jobs stand as `[block of rows][KV head]`.
  mutating func fuseJobs(_ range: Range<Int>, of shape: PlanShape) throws(AttentionError) {
    let heads = shape.kvHeads
    guard equalLeafCount > 0, !shape.hasHorizon, !notesAttention, range.count > heads else {
      return
    }
    var isAnyShared = false
    for index in shape.table * requests.count..<(shape.table + 1) * requests.count {
      let planned = tables[index]
      for leaf in planned.firstLeaf..<planned.firstLeaf + planned.leafCount {
        sharing[leaf].removeBlocks()
      }
    }
    for block in 0..<range.count / heads {
      isAnyShared =
        chain(block, jobs[range.lowerBound + block * heads], range, heads) || isAnyShared
    }
    guard isAnyShared else { return }
    for block in 0..<range.count / heads {
      let first = range.lowerBound + block * heads
      guard jobs[first].role == .tree else { continue }
      var leaf = jobs[first].firstLeaf
      while leaf < jobs[first].firstLeaf + jobs[first].leafCount {
        guard sharing[leaf].isHead else {
          leaf += 1
          continue
        }
        let end = segmentEnd(leaf, end: jobs[first].firstLeaf + jobs[first].leafCount)
        try addPasses(leaf..<end, jobs: range, shape: shape)
        leaf = end
      }
    }
  }

  /// Puts a block's leaves behind those of the blocks before that are equal; whether there is any.
  private mutating func chain(
    _ block: Int, _ job: PlannedJob, _ range: Range<Int>, _ heads: Int
  ) -> Bool {
    guard job.leafCount > 0, job.rowCount <= Self.mostFusedRows,
      job.queryCount == requests[job.request].queryCount
    else { return false }
    var isShared = false
    for leaf in job.firstLeaf..<job.firstLeaf + job.leafCount {
      sharing[leaf].block = Int32(block)
      let leader = Int(sharing[leaf].leader)
      let last = sharing[leader].last
      sharing[leader].last = Int32(leaf)
      // Rows are passed alike if there are as many of each: what a kernel does may depend on it.
      if last != LeafSharing.none,
        Int(sharing[leader].chainRows) + job.rowCount <= Self.rowsPerJob,
        requests[Int(sharing[Int(last)].request)].queryCount == job.queryCount
      {
        sharing[Int(last)].next = Int32(leaf)
        sharing[leader].chainRows += Int32(job.rowCount)
        isShared = true
        let other = range.lowerBound + Int(sharing[Int(last)].block) * heads
        for head in 0..<heads { jobs[other + head].role = .tree }
      } else {
        sharing[leaf].isHead = true
        sharing[leader].chainRows = Int32(job.rowCount)
      }
    }
    guard isShared else { return false }
    let own = range.lowerBound + block * heads
    for head in 0..<heads { jobs[own + head].role = .tree }
    return true
  }

  /// The end of the leaves from `first` on that the same blocks pass together.
  private func segmentEnd(_ first: Int, end: Int) -> Int {
    var leaf = first + 1
    while leaf < end, sharing[leaf].isHead {
      var (left, right) = (Int32(leaf - 1), Int32(leaf))
      while left != LeafSharing.none, right == left + 1,
        sharing[Int(left)].block == sharing[Int(right)].block
      {
        (left, right) = (sharing[Int(left)].next, sharing[Int(right)].next)
      }
      guard left == LeafSharing.none, right == LeafSharing.none else { return leaf }
      leaf += 1
    }
    return leaf
  }

  /// Adds a pass over the leaves for each KV head.
  private mutating func addPasses(
    _ segment: Range<Int>, jobs range: Range<Int>, shape: PlanShape
  ) throws(AttentionError) {
    let heads = shape.kvHeads
    let firstPass = jobs.count
    for head in 0..<heads {
      let firstMember = members.count
      var (before, after, queries) = (-1, Int.max, 0)
      var leaf = Int32(segment.lowerBound)
      while leaf != LeafSharing.none {
        let job = range.lowerBound + Int(sharing[Int(leaf)].block) * heads + head
        let (first, end) = (Int(leaf), Int(leaf) + segment.count)
        sharing[first].pass = Int32(firstPass)
        sharing[first].place = Int32(members.count - firstMember)
        try members.append(PassMember(job: job, firstLeaf: first, firstQuery: queries))
        queries += jobs[job].queryCount
        if first > jobs[job].firstLeaf { before = max(before, leaves[first - 1].number) }
        if end < jobs[job].firstLeaf + jobs[job].leafCount {
          after = min(after, leaves[end].number)
        }
        leaf = sharing[first].next
      }
      let model = jobs[members[firstMember].job]
      let rowCount = queries * shape.group
      let leafEntries = SummationOrder.leafEntries(
        liveEntries: tables[shape.table * requests.count + model.request].entryCount)
      var pass = PlannedJob(
        number: jobs.count, request: model.request, kvHead: head, firstQuery: model.firstQuery,
        queryCount: queries, rowCount: rowCount,
        stateFloats: unsafe StateRows.floatCount(
          rowCount: rowCount, outputStride: shape.outputStride),
        firstLeaf: segment.lowerBound, leafCount: segment.count,
        leafCost: leafEntries * TileSize.entryCost(rowCount: rowCount))
      pass.role = .pass
      pass.firstMember = firstMember
      pass.memberCount = members.count - firstMember
      (pass.numberBefore, pass.numberAfter) = (before, after)
      try jobs.append(pass)
      largestPassRows = max(largestPassRows, rowCount)
    }
  }

  // MARK: Tiles

  /// The end of the pass's tile that begins with leaf `first`: as large a node as its level allows that holds no leaf which
  /// another pass computes for one of the rows.
  private func tileEnd(of pass: PlannedJob, from first: Int) -> Int {
    let number = leaves[first].number
    var level = pass.tileLevel
    while pass.numberBefore >> level == number >> level
      || pass.numberAfter >> level == number >> level
    { level -= 1 }
    var end = first + 1
    while end < pass.firstLeaf + pass.leafCount,
      leaves[end].number >> level == number >> level
    { end += 1 }
    return end
  }

  /// Cuts a pass into tiles.
  mutating func cutPass(_ index: Int, _ size: TileSize) {
    jobs[index].tileLevel = size.level(of: jobs[index])
    var (first, count) = (jobs[index].firstLeaf, 0)
    while first < jobs[index].firstLeaf + jobs[index].leafCount {
      first = tileEnd(of: jobs[index], from: first)
      count += 1
    }
    jobs[index].tileCount = count
  }

  /// Lists the tiles of a pass, within capacity reserved before.
  mutating func listTiles(ofPass pass: PlannedJob) {
    var (first, rank) = (pass.firstLeaf, 0)
    while first < pass.firstLeaf + pass.leafCount {
      let end = tileEnd(of: pass, from: first)
      tiles.appendReserved(
        PlannedTile(
          job: pass.number, index: leaves[first].number, rank: rank, firstLeaf: first,
          leafCount: end - first))
      first = end
      rank += 1
    }
  }

  /// Numbers the tiles that passes compute for a job with a tree of its own.
  mutating func plantTree(_ index: Int) throws(AttentionError) {
    jobs[index].firstNode = nodes.count
    var (leaf, rank) = (jobs[index].firstLeaf, 0)
    while leaf < jobs[index].firstLeaf + jobs[index].leafCount {
      let shared = sharing[leaf]
      let pass = jobs[Int(shared.pass) + jobs[index].kvHead]
      members[pass.firstMember + Int(shared.place)].firstRank = rank
      var first = pass.firstLeaf
      while first < pass.firstLeaf + pass.leafCount {
        try nodes.append(leaves[first].number)
        first = tileEnd(of: pass, from: first)
        rank += 1
      }
      leaf += pass.leafCount
    }
    jobs[index].tileCount = rank
  }
}
