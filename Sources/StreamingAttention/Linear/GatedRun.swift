import KernelTable

/// A gated product of matrices of codes: a panel of both, its gates, and the codes that become of them.
@unsafe struct GatedRun {
  private let kernels: KernelTable
  private let gate: ProductTarget
  private let up: ProductTarget
  private let rowCount: Int
  private let gated: UnsafeMutableRawPointer
  private let gatedRowBytes: Int
  private let cut: ProductCut
  /// `scratchBytes` for each worker.
  var scratch: UnsafeMutableRawPointer?

  /// The targets' outputs are set item by item, in a worker's scratch.
  init(
    kernels: KernelTable, gate: ProductTarget, up: ProductTarget, rowCount: Int,
    gated: UnsafeMutableRawPointer, gatedRowBytes: Int, workerCount: Int
  ) {
    unsafe self.kernels = kernels
    unsafe self.gate = unsafe gate
    unsafe self.up = unsafe up
    unsafe self.rowCount = rowCount
    unsafe self.gated = unsafe gated
    unsafe self.gatedRowBytes = gatedRowBytes
    unsafe cut = unsafe ProductCut(
      rowCount: rowCount, rowBytes: gate.rowBytes, panelCount: gate.panelCount,
      workerCount: workerCount)
  }

  private var groups: Int {
    unsafe (gate.panelCount + cut.panelsPerItem - 1) / cut.panelsPerItem
  }
  var itemCount: Int { unsafe groups * cut.blockCount }

  private var productBytes: Int { unsafe cut.blockRows * CodeFormat.panelOutputs * 4 }
  /// Memory that each worker needs: a wide panel, and two blocks of products.
  var scratchBytes: Int { unsafe max(gate.scratchBytes, up.scratchBytes) + 2 * productBytes }

  func multiply(item: Int, worker: Int) {
    guard let scratch = unsafe scratch else { return }
    let (block, group) = unsafe item.quotientAndRemainder(dividingBy: groups)
    let rows = unsafe cut.rows(ofBlock: block, of: rowCount)
    // SAFETY: the worker's own scratch holds two blocks of products and a wide panel.
    let own = unsafe scratch + worker * scratchBytes
    let gates = unsafe own.assumingMemoryBound(to: Float.self)
    let factors = unsafe (own + productBytes).assumingMemoryBound(to: Float.self)
    let wide = unsafe own + 2 * productBytes
    let first = unsafe group * cut.panelsPerItem
    for panel in unsafe first..<min(first + cut.panelsPerItem, gate.panelCount) {
      unsafe gate.multiply(rows, panel: panel, to: gates, kernels, wide)
      unsafe up.multiply(rows, panel: panel, to: factors, kernels, wide)
      var gating = unsafe GateTask(
        gate: gates, up: factors, count: rows.count * CodeFormat.panelOutputs, result: gates)
      unsafe kernels.gate(&gating)
      // SAFETY: a panel's outputs are one block of each row, written by no other item.
      var quantizing = unsafe QuantizeTask(
        source: gates, sourceStride: CodeFormat.panelOutputs, rowCount: rows.count,
        width: CodeFormat.panelOutputs,
        target: gated + rows.lowerBound * gatedRowBytes + panel * QuantizeTask.blockBytes,
        targetRowBytes: gatedRowBytes)
      unsafe kernels.quantizeRows(&quantizing)
    }
  }
}
