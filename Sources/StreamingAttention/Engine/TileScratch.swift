import KernelTable

/// A worker's scratch for one tile: the states that wait on its stack, what a horizon needs, and the kernel's.
@unsafe struct TileScratch {
  let stack: UnsafeMutablePointer<Float>
  let horizon: UnsafeMutableRawPointer
  let kernel: UnsafeMutableRawPointer

  init(at start: UnsafeMutableRawPointer, job: PlannedJob, hasHorizon: Bool) {
    // Every part is a multiple of 64 bytes long.
    unsafe stack = start.assumingMemoryBound(to: Float.self)
    unsafe horizon = start + MergeStack.mostStates * job.stateFloats * 4
    let bytes =
      unsafe hasHorizon
      ? HorizonTile.scratchBytes(rowCount: job.rowCount, stateFloats: job.stateFloats) : 0
    unsafe kernel = horizon + bytes
  }

  /// Bytes that a worker needs for a tile of the shape.
  static func byteCount(for shape: PlanShape, rowCount: Int) -> Int {
    let stateFloats = unsafe StateRows.floatCount(
      rowCount: rowCount, outputStride: shape.outputStride)
    let horizon =
      unsafe shape.hasHorizon
      ? HorizonTile.scratchBytes(rowCount: rowCount, stateFloats: stateFloats) : 0
    return unsafe MergeStack.mostStates * stateFloats * 4 + horizon
      + LeafTask.scratchBytes(
        rowCount: rowCount, keyWidth: shape.keyWidth, valueWidth: shape.valueWidth)
  }
}
