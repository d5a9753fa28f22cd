import KernelTable
import Synchronization

/// Runs one tile of a plan: leaf by leaf through the kernel, joined in the order of ``MergeTree``.
///
/// What is known when a tile starts: the plan has checked every shape, length and index; tiles write
/// disjoint state slots; a job's output is written by the one worker that completes its tree.
enum TileRunner {
  /// Computes tile `index` of the run on worker `worker`.
  static func run(_ run: UnsafePointer<LayerRun>, tile index: Int, worker: Int) {
    // SAFETY: indices come from the plan; `scratch` belongs to this worker for the length of the run.
    let tile = unsafe run.pointee.tiles[index]
    let job = unsafe run.pointee.jobs[tile.job]
    let scratch = unsafe TileScratch(
      at: run.pointee.scratch + worker * run.pointee.scratchBytes, job: job,
      shape: run.pointee.shape)
    var known: HorizonTile?
    if let horizon = unsafe run.pointee.horizon, job.horizon != .none {
      if job.horizon != .rest {
        unsafe runHorizon(run, horizon, tile: tile, job: job, scratch: scratch)
        return
      }
      unsafe known = horizonTile(horizon, job: job, scratch: scratch)
    }
    if job.memberCount > 1 { unsafe gatherRows(run, pass: job, scratch: scratch) }
    unsafe sweep(run, tile: tile, job: job, horizon: known, scratch: scratch)
    let state = unsafe StateRows(at: scratch.stack, rowCount: job.rowCount)
    if job.role == .pass {
      unsafe handOut(run, pass: job, tile: tile, state: state)
    } else if job.tileCount == 1 {
      unsafe finish(run, job: job, state: state)
    } else {
      unsafe join(
        run, job: job, rank: tile.rank, tiles: run.pointee.tiles + (index - tile.rank), state: state
      )
    }
  }

  /// Computes the tile's leaves onto the stack and joins them into the state at its bottom.
  static func sweep(
    _ run: UnsafePointer<LayerRun>, tile: PlannedTile, job: PlannedJob, horizon: HorizonTile?,
    scratch: TileScratch
  ) {
    let (stack, stateFloats, rowCount) = unsafe (scratch.stack, job.stateFloats, job.rowCount)
    var waiting = MergeStack()
    var continues = false
    let end = tile.firstLeaf + tile.leafCount
    for leafIndex in tile.firstLeaf..<end {
      let leaf = unsafe run.pointee.leaves[leafIndex]
      while waiting.joinsTop(before: leaf.number) {
        waiting.join()
        unsafe merge(
          run, stack: stack, stateFloats: stateFloats, left: waiting.count - 1, rowCount: rowCount)
      }
      let state = unsafe StateRows(at: stack + waiting.count * stateFloats, rowCount: rowCount)
      if let horizon = unsafe horizon, job.isReference(leafIndex) {
        unsafe copyReference(
          leafIndex, job: job, horizon: horizon, outputStride: run.pointee.shape.outputStride,
          to: state)
        unsafe forgetRecords(run, job: job, leaf: leafIndex, horizon: horizon)
      } else if job.memberCount > 1, unsafe run.pointee.bias != nil {
        unsafe attendByRequest(run, pass: job, leaf: leafIndex, state: state, scratch: scratch)
      } else {
        unsafe attend(
          run, job: job, leaf: leaf,
          hiddenRows: horizon?.hiddenRows(ofLeaf: leafIndex, rowCount: rowCount), state: state,
          scratch: scratch, continues: continues,
          following: leafIndex + 1 < end && !(horizon != nil && job.isReference(leafIndex + 1))
            ? run.pointee.leaves[leafIndex + 1] : nil)
        continues = true
      }
      waiting.push(leaf.number)
    }
    while waiting.count > 1 {
      waiting.join()
      unsafe merge(
        run, stack: stack, stateFloats: stateFloats, left: waiting.count - 1, rowCount: rowCount)
    }
    if waiting.count == 0 {
      unsafe clear(StateRows(at: stack, rowCount: rowCount), rowCount: rowCount, run)
    }
  }

  /// Joins stack entry `left + 1` into stack entry `left`.
  private static func merge(
    _ run: UnsafePointer<LayerRun>, stack: UnsafeMutablePointer<Float>, stateFloats: Int, left: Int,
    rowCount: Int
  ) {
    let (a, b) = unsafe (
      StateRows(at: stack + left * stateFloats, rowCount: rowCount),
      StateRows(at: stack + (left + 1) * stateFloats, rowCount: rowCount)
    )
    unsafe merge(run, a, b, rowCount: rowCount)
  }

  private static func merge(
    _ run: UnsafePointer<LayerRun>, _ left: StateRows, _ right: StateRows, rowCount: Int
  ) {
    var task = unsafe MergeTask(
      rowCount: rowCount, outputStride: run.pointee.shape.outputStride, maxima: left.maxima,
      denominators: left.denominators, outputs: left.outputs, rightMaxima: right.maxima,
      rightDenominators: right.denominators, rightOutputs: right.outputs)
    unsafe run.pointee.kernels.merge(&task)
  }

  /// One leaf; `continues` if the one before, of the same rows, was the last to use the kernel's scratch, `following` is the one that
  /// comes next, where it is known.
  static func attend(
    _ run: UnsafePointer<LayerRun>, job: PlannedJob, leaf: PlannedLeaf,
    hiddenRows: UnsafePointer<UInt8>?, state: StateRows, scratch: TileScratch,
    continues: Bool = false, following: PlannedLeaf? = nil
  ) {
    let shape = unsafe run.pointee.shape
    let settings = unsafe run.pointee.settings
    let request = unsafe run.pointee.requests[job.request]
    let table = unsafe run.pointee.tables[job.request]
    let turnFloats = 2 * settings.pairs
    let position = request.queryPosition + job.firstQuery
    let tokenStride = shape.queryHeads * shape.keyWidth
    let head = job.kvHead * shape.group
    var task = unsafe LeafTask(
      queries: run.pointee.queries + (request.firstQuery + job.firstQuery) * tokenStride
        + head * shape.keyWidth,
      tokenStride: tokenStride, headStride: shape.keyWidth, rowCount: job.rowCount,
      group: shape.group, positions: run.pointee.positions + position,
      entries: run.pointee.entries + leaf.firstEntry, entryCount: leaf.entryCount,
      pages: run.pointee.pages[job.kvHead], keyElement: settings.keyElement,
      valueElement: settings.valueElement, keyWidth: shape.keyWidth, valueWidth: shape.valueWidth,
      valueOffset: settings.valueOffset, scale: settings.scale, softcap: settings.softcap,
      slopes: run.pointee.slopes.map { unsafe $0 + head },
      visibility: Visibility(
        isCausal: shape.isCausal, window: shape.window, ahead: shape.rightWindow),
      pairs: settings.pairs, pairOrder: settings.pairOrder,
      rotaryScale: run.pointee.rotaryScales.map { unsafe $0[job.request] } ?? 1,
      tokenTurns: run.pointee.tokenTurns.map { unsafe $0 + position * turnFloats },
      runTurns: run.pointee.runTurns.map { unsafe $0 + table.firstRun * turnFloats },
      maxima: state.maxima, denominators: state.denominators, outputs: state.outputs,
      outputStride: shape.outputStride, scratch: scratch.kernel)
    if job.memberCount > 1 { unsafe PassRows(run, pass: job, scratch.rows).describe(in: &task) }
    if let records = unsafe run.pointee.records {
      unsafe task.entryMasses =
        records + job.firstRecord + (leaf.firstEntry - job.firstNoted) * job.rowCount
    }
    unsafe task.continues = continues
    // SAFETY: a job's leaves lie in one table, whose entries follow one another.
    if let following { unsafe task.followingCount = following.entryCount }
    unsafe task.codedPagesAhead = settings.codedPagesAhead
    unsafe task.hiddenRows = hiddenRows
    unsafe task.slotTurns = run.pointee.slotTurns
    unsafe task.keyCode = settings.keyCode
    unsafe task.valueCode = settings.valueCode
    unsafe task.codedValueOffset = settings.codedValueOffset
    unsafe task.widensCodes = request.queryCount * shape.group > Plan.mostRowsInCodes
    unsafe task.widensPages = run.pointee.traits.widensPages
    unsafe task.nearAhead = run.pointee.traits.requests.nearAhead
    unsafe task.asksNextPage = run.pointee.traits.requests == .linesAndPage
    unsafe task.dotsPairs = run.pointee.traits.dotsPairs
    if let bias = unsafe run.pointee.bias {
      let heads = unsafe run.pointee.biasHeads
      unsafe task.biasHeadStride = heads == 1 ? 0 : table.keyCount
      unsafe task.biasTokenStride = heads * table.keyCount
      unsafe task.bias =
        bias + (table.firstBias + job.firstQuery * table.keyCount) * heads
        + (heads == 1 ? 0 : head * table.keyCount)
    }
    unsafe run.pointee.kernels.attend(&task)
  }

  private static func clear(_ state: StateRows, rowCount: Int, _ run: UnsafePointer<LayerRun>) {
    unsafe state.maxima.update(repeating: -.infinity, count: rowCount)
    unsafe state.denominators.update(repeating: 0, count: rowCount)
    unsafe state.outputs.update(repeating: 0, count: rowCount * run.pointee.shape.outputStride)
  }

  /// Stores a tile's state and joins upwards as long as this worker is the second to arrive.
  static func join(
    _ run: UnsafePointer<LayerRun>, job: PlannedJob, rank: Int, tiles: UnsafePointer<PlannedTile>,
    state: StateRows
  ) {
    let (rowCount, stateFloats) = (job.rowCount, job.stateFloats)
    // SAFETY: the plan lists the job's tiles side by side, or their numbers if passes compute them, and gave the job a slot from
    // `firstFloat` for each, and as many counters but one.
    let numbers = unsafe job.role == .tree ? run.pointee.nodes + job.firstNode : nil
    let slots = unsafe run.pointee.states + job.firstFloat
    let counters = unsafe run.pointee.counters + job.firstCounter
    var node = MergeNode(tiles: rank..<rank + 1)
    let own = unsafe StateRows(at: slots + rank * stateFloats, rowCount: rowCount)
    unsafe own.maxima.update(from: state.maxima, count: rowCount)
    unsafe own.denominators.update(from: state.denominators, count: rowCount)
    unsafe own.outputs.update(
      from: state.outputs, count: rowCount * run.pointee.shape.outputStride)
    func number(_ tile: Int) -> Int {
      if let numbers = unsafe numbers { return unsafe numbers[tile] }
      return unsafe tiles[tile].index
    }
    while let join = node.join(tileCount: job.tileCount, number) {
      let counter = unsafe counters + join.counter
      // The first to arrive leaves; the acquiring second sees the state that the first released.
      if unsafe counter.pointee.add(1, ordering: .acquiringAndReleasing).oldValue == 0 { return }
      unsafe counter.pointee.store(0, ordering: .relaxed)
      let (left, right) = unsafe (
        StateRows(at: slots + join.left * stateFloats, rowCount: rowCount),
        StateRows(at: slots + join.right * stateFloats, rowCount: rowCount)
      )
      unsafe merge(run, left, right, rowCount: rowCount)
      node = join.parent
    }
    unsafe finish(run, job: job, state: StateRows(at: slots, rowCount: rowCount))
  }
}
