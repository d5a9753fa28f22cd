import KernelTable

/// The rows of a pass over leaves that several requests share: what their requests hold apart, side by side.
@unsafe struct PassRows {
  /// `[query][head of the group][keyWidth]`, the caller's values.
  var queries: UnsafeMutablePointer<Float>
  /// `[query]`.
  var positions: UnsafeMutablePointer<Int>
  /// `[query][cos: pairs | sin: pairs]`: each query is turned by its own distance.
  var turns: UnsafeMutablePointer<Float>
  private let tokenStride: Int
  private let headStride: Int

  /// Bytes of scratch, a multiple of 64; no more pairs turn than half of the channels.
  static func scratchBytes(rowCount: Int, keyWidth: Int) -> Int {
    (rowCount * (2 * keyWidth * MemoryLayout<Float>.stride + MemoryLayout<Int>.stride) + 63) / 64
      * 64
  }

  /// With everything in scratch of `scratchBytes`.
  init(
    _ run: UnsafePointer<LayerRun>, pass: PlannedJob, _ scratch: UnsafeMutableRawPointer
  ) {
    let shape = unsafe run.pointee.shape
    unsafe headStride = shape.keyWidth
    unsafe tokenStride = shape.group * shape.keyWidth
    unsafe positions = scratch.assumingMemoryBound(to: Int.self)
    unsafe queries = UnsafeMutableRawPointer(positions + pass.rowCount)
      .assumingMemoryBound(to: Float.self)
    unsafe turns = queries + pass.rowCount * shape.keyWidth
  }

  /// Tells a task where its rows are; everything else it has from the pass's first request, whose leaf is the same.
  func describe(in task: inout LeafTask) {
    unsafe task.queries = UnsafePointer(queries)
    unsafe task.tokenStride = tokenStride
    unsafe task.headStride = headStride
    unsafe task.positions = UnsafePointer(positions)
    if unsafe task.tokenTurns != nil { unsafe task.tokenTurns = UnsafePointer(turns) }
  }
}

extension TileRunner {
  /// Copies the rows of a pass side by side into scratch: a few kilobytes for a tile that reads leaves.
  static func gatherRows(
    _ run: UnsafePointer<LayerRun>, pass: PlannedJob, scratch: TileScratch
  ) {
    let shape = unsafe run.pointee.shape
    let turnFloats = unsafe 2 * run.pointee.settings.pairs
    let width = shape.group * shape.keyWidth
    // SAFETY: the plan has checked every index, and scratch holds what `scratchBytes` counts.
    let rows = unsafe PassRows(run, pass: pass, scratch.rows)
    for index in pass.firstMember..<pass.firstMember + pass.memberCount {
      let member = unsafe run.pointee.members[index]
      let job = unsafe run.pointee.jobs[member.job]
      let request = unsafe run.pointee.requests[job.request]
      for query in 0..<job.queryCount {
        let token = request.firstQuery + job.firstQuery + query
        let position = request.queryPosition + job.firstQuery + query
        let row = member.firstQuery + query
        unsafe (rows.queries + row * width).update(
          from: run.pointee.queries + token * shape.queryHeads * shape.keyWidth
            + job.kvHead * width, count: width)
        unsafe rows.positions[row] = run.pointee.positions[position]
        if let turns = unsafe run.pointee.tokenTurns {
          unsafe (rows.turns + row * turnFloats).update(
            from: turns + position * turnFloats, count: turnFloats)
        }
      }
    }
  }

  /// A leaf of a pass with an additive bias, whose keys each request counts for itself: request after request, from cache.
  static func attendByRequest(
    _ run: UnsafePointer<LayerRun>, pass: PlannedJob, leaf: Int, state: StateRows,
    scratch: TileScratch
  ) {
    let shape = unsafe run.pointee.shape
    for index in pass.firstMember..<pass.firstMember + pass.memberCount {
      let member = unsafe run.pointee.members[index]
      unsafe attend(
        run, job: run.pointee.jobs[member.job],
        leaf: run.pointee.leaves[member.firstLeaf + leaf - pass.firstLeaf], hiddenRows: nil,
        state: state.rows(
          from: member.firstQuery * shape.group, outputStride: shape.outputStride),
        scratch: scratch)
    }
  }

  /// Gives each job the state of its rows, which it joins in its own tree.
  static func handOut(
    _ run: UnsafePointer<LayerRun>, pass: PlannedJob, tile: PlannedTile, state: StateRows
  ) {
    let shape = unsafe run.pointee.shape
    for index in pass.firstMember..<pass.firstMember + pass.memberCount {
      let member = unsafe run.pointee.members[index]
      let job = unsafe run.pointee.jobs[member.job]
      let own = unsafe state.rows(
        from: member.firstQuery * shape.group, outputStride: shape.outputStride)
      if job.tileCount == 1 {
        unsafe finish(run, job: job, state: own)
      } else {
        unsafe join(
          run, job: job, rank: member.firstRank + tile.rank, tiles: run.pointee.tiles, state: own)
      }
    }
  }
}
