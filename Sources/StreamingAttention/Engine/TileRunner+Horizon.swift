import Glibc
import KernelTable

/// What a layer with a horizon adds to its run.
@unsafe struct HorizonRun {
  var settings: HorizonSettings
  /// Of each query row of the step.
  var references: UnsafePointer<RowReferences>
  /// Bounds of the pages by KV head, then page.
  var norms: UnsafePointer<UnsafePointer<PageNorms>>
  /// States of the reference leaves, and the first leaf of each row, of the jobs that are shared out.
  var states: UnsafeMutablePointer<Float>
  var cuts: UnsafeMutablePointer<Int32>
  /// By the number of a job.
  var outcomes: UnsafeMutablePointer<HorizonOutcome>
}

/// What a job with a horizon has found.
struct HorizonOutcome: BitwiseCopyable {
  /// The oldest leaf that any of its rows reads.
  var firstLeaf: Int
  /// The largest of its rows (see `AttentionReport.skippedMassBound`).
  var massBound: Float
  /// Whether its output is written.
  var isDone: Bool
}

/// What a tile knows about its reference leaves and where each of its rows begins to read.
@unsafe struct HorizonTile {
  /// `[reference leaf][state]`.
  var states: UnsafeMutablePointer<Float>
  /// The first leaf that each row reads.
  var cuts: UnsafeMutablePointer<Int32>
  /// Scratch: one byte per row.
  var hidden: UnsafeMutablePointer<UInt8>
  /// Scratch of a search.
  var rows: UnsafeMutablePointer<HorizonRow>

  /// Bytes of scratch, a multiple of 64.
  static func scratchBytes(rowCount: Int, stateFloats: Int) -> Int {
    let bytes =
      Plan.mostReferences * stateFloats * 4
      + rowCount * (MemoryLayout<HorizonRow>.stride + MemoryLayout<Int32>.stride + 1)
    return (bytes + 63) / 64 * 64
  }

  /// With everything in scratch of `scratchBytes`, 64-byte aligned.
  init(scratch: UnsafeMutableRawPointer, rowCount: Int, stateFloats: Int) {
    unsafe states = scratch.assumingMemoryBound(to: Float.self)
    let end = unsafe scratch + Plan.mostReferences * stateFloats * 4
    unsafe rows = end.assumingMemoryBound(to: HorizonRow.self)
    unsafe cuts = UnsafeMutableRawPointer(rows + rowCount).assumingMemoryBound(to: Int32.self)
    unsafe hidden = UnsafeMutableRawPointer(cuts + rowCount).assumingMemoryBound(to: UInt8.self)
  }

  /// Which rows do not read a leaf, as bytes; nil if all do.
  func hiddenRows(ofLeaf leaf: Int, rowCount: Int) -> UnsafePointer<UInt8>? {
    var isAnyHidden = false
    for row in 0..<rowCount {
      let isHidden = unsafe leaf < Int(cuts[row])
      unsafe hidden[row] = isHidden ? 1 : 0
      isAnyHidden = isAnyHidden || isHidden
    }
    return isAnyHidden ? unsafe UnsafePointer(hidden) : nil
  }
}

extension TileRunner {
  /// A job with a horizon: its reference leaves, what its rows need beside them, and, where the job is not shared out
  /// or nothing is left, the rest.
  static func runHorizon(
    _ run: UnsafePointer<LayerRun>, _ horizon: HorizonRun, tile: PlannedTile, job: PlannedJob,
    scratch: TileScratch
  ) {
    // SAFETY: the plan gave the job its places in the workspace, and the scratch holds what `scratchBytes` counts.
    let leaves = unsafe horizonTile(horizon, job: job, scratch: scratch)
    for index in 0..<job.referenceCount {
      let state = unsafe StateRows(
        at: leaves.states + index * job.stateFloats, rowCount: job.rowCount)
      unsafe attend(
        run, job: job, leaf: run.pointee.leaves[job.firstReference + index], hiddenRows: nil,
        state: state, scratch: scratch)
    }
    var outcome = unsafe findCuts(run, horizon, job: job, leaves)
    outcome.isDone = job.horizon == .inTile || outcome.firstLeaf >= job.firstReference
    unsafe horizon.outcomes[job.number] = outcome
    guard outcome.isDone else { return }
    let rest = PlannedTile(
      job: tile.job, index: tile.index, rank: 0, firstLeaf: outcome.firstLeaf,
      leafCount: job.firstLeaf + job.leafCount - outcome.firstLeaf)
    unsafe sweep(run, tile: rest, job: job, horizon: leaves, scratch: scratch)
    unsafe finish(run, job: job, state: StateRows(at: scratch.stack, rowCount: job.rowCount))
  }

  /// Where a tile finds its reference leaves: in the workspace if its job is shared out, in scratch if not.
  static func horizonTile(
    _ horizon: HorizonRun, job: PlannedJob, scratch: TileScratch
  ) -> HorizonTile {
    var tile = unsafe HorizonTile(
      scratch: scratch.horizon, rowCount: job.rowCount, stateFloats: job.stateFloats)
    if job.horizon != .inTile {
      unsafe tile.states = horizon.states + job.firstReferenceFloat
      unsafe tile.cuts = horizon.cuts + job.firstCut
    }
    return unsafe tile
  }

  /// Finds the first leaf that each row reads, from the reference leaves' states and the norms of the pages.
  private static func findCuts(
    _ run: UnsafePointer<LayerRun>, _ horizon: HorizonRun, job: PlannedJob, _ tile: HorizonTile
  ) -> HorizonOutcome {
    var openCount = 0
    for row in 0..<job.rowCount {
      let found = unsafe horizonRow(run, horizon, job: job, row: row, tile)
      openCount += found.isOpen ? 1 : 0
      unsafe (tile.rows + row).initialize(to: found)
    }
    let settings = unsafe horizon.settings
    let norms = unsafe horizon.norms[job.kvHead]
    var leaf = job.firstLeaf
    while openCount > 0 {
      let planned = unsafe run.pointee.leaves[leaf]
      var largestKey: Float = 0
      for index in planned.firstEntry..<planned.firstEntry + planned.entryCount {
        largestKey = unsafe max(largestKey, norms[Int(run.pointee.entries[index].page)].key)
      }
      openCount = 0
      for row in 0..<job.rowCount {
        unsafe tile.rows[row].look(
          at: leaf, lastPosition: planned.lastPosition, largestKey: largestKey, settings: settings)
        openCount += unsafe tile.rows[row].isOpen ? 1 : 0
      }
      leaf += 1
    }
    var outcome = HorizonOutcome(
      firstLeaf: job.firstReference + job.referenceCount, massBound: 0, isDone: false)
    for row in 0..<job.rowCount {
      let found = unsafe tile.rows[row]
      unsafe tile.cuts[row] = Int32(found.cut)
      outcome.firstLeaf = min(outcome.firstLeaf, found.cut)
      // It was compared in Double: above ε only by the rounding up.
      outcome.massBound = max(outcome.massBound, min(found.massBound, settings.epsilon))
    }
    return outcome
  }

  private static func horizonRow(
    _ run: UnsafePointer<LayerRun>, _ horizon: HorizonRun, job: PlannedJob, row: Int,
    _ tile: HorizonTile
  ) -> HorizonRow {
    let shape = unsafe run.pointee.shape
    let request = unsafe run.pointee.requests[job.request]
    let query = job.firstQuery + row / shape.group
    let head = job.kvHead * shape.group + row % shape.group
    let token = request.firstQuery + query
    let references = unsafe horizon.references[token]
    let vector =
      unsafe run.pointee.queries + (token * shape.queryHeads + head) * shape.keyWidth
    let table = unsafe run.pointee.tables[job.request]
    return unsafe HorizonRow(
      settings: horizon.settings,
      query: horizon.settings.queryFactor(vector, width: shape.keyWidth),
      slope: run.pointee.slopes.map { unsafe $0[head] } ?? 0,
      position: run.pointee.positions[request.queryPosition + query], window: shape.window,
      oldest: run.pointee.leaves[table.firstLeaf].firstPosition, firstLeaf: job.firstLeaf,
      firstReference: Int(references.first),
      referenceMass: referenceMass(references, job: job, row: row, tile))
  }

  /// log2 of the mass that a row has in its reference leaves, from what the kernels computed.
  private static func referenceMass(
    _ references: RowReferences, job: PlannedJob, row: Int, _ tile: HorizonTile
  ) -> Double {
    guard references.newest >= 0 else { return -.infinity }
    var top = -Double.infinity
    var sum = 0.0
    for leaf in Int(references.first)...Int(references.newest) {
      let state = unsafe StateRows(
        at: tile.states + (leaf - job.firstReference) * job.stateFloats, rowCount: job.rowCount)
      let (maximum, denominator) = unsafe (
        Double(state.maxima[row]), Double(state.denominators[row])
      )
      guard denominator != 0 else { continue }
      let larger = max(top, maximum)
      sum = sum * exp2(top - larger) + denominator * exp2(maximum - larger)
      top = larger
    }
    return top + log2(sum)
  }

  /// Copies what is known of a reference leaf, with nothing for the rows that do not read it.
  static func copyReference(
    _ leaf: Int, job: PlannedJob, horizon: HorizonTile, outputStride: Int, to state: StateRows
  ) {
    let known = unsafe horizon.states + (leaf - job.firstReference) * job.stateFloats
    unsafe state.maxima.update(from: known, count: job.stateFloats)
    for row in 0..<job.rowCount where unsafe leaf < Int(horizon.cuts[row]) {
      unsafe state.maxima[row] = -.infinity
      unsafe state.denominators[row] = 0
      unsafe (state.outputs + row * outputStride).update(repeating: 0, count: outputStride)
    }
  }
}
