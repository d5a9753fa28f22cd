import KernelTable

/// A worker's scratch for one tile: the states that wait on its stack, what a horizon or a pass needs, and the kernel's.
@unsafe struct TileScratch {
  let stack: UnsafeMutablePointer<Float>
  let horizon: UnsafeMutableRawPointer
  /// The rows of a pass side by side (`PassRows`).
  let rows: UnsafeMutableRawPointer
  let kernel: UnsafeMutableRawPointer

  init(at start: UnsafeMutableRawPointer, job: PlannedJob, shape: PlanShape) {
    // Every part is a multiple of 64 bytes long.
    unsafe stack = start.assumingMemoryBound(to: Float.self)
    unsafe horizon = start + MergeStack.mostStates * job.stateFloats * 4
    let bytes =
      unsafe shape.hasHorizon
      ? HorizonTile.scratchBytes(rowCount: job.rowCount, stateFloats: job.stateFloats) : 0
    unsafe rows = horizon + bytes
    unsafe kernel =
      rows
      + (job.memberCount > 1
        ? PassRows.scratchBytes(rowCount: job.rowCount, keyWidth: shape.keyWidth) : 0)
  }

  /// Bytes that a worker needs for a tile of the shape.
  static func byteCount(for shape: PlanShape, rowCount: Int) -> Int {
    let stateFloats = unsafe StateRows.floatCount(
      rowCount: rowCount, outputStride: shape.outputStride)
    let horizon =
      unsafe shape.hasHorizon
      ? HorizonTile.scratchBytes(rowCount: rowCount, stateFloats: stateFloats) : 0
    return unsafe MergeStack.mostStates * stateFloats * 4 + horizon
      + PassRows.scratchBytes(rowCount: rowCount, keyWidth: shape.keyWidth)
      + LeafTask.scratchBytes(
        rowCount: rowCount, keyWidth: shape.keyWidth, valueWidth: shape.valueWidth)
  }
}
