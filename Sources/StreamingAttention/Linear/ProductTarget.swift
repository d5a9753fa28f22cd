import KernelTable

/// One product of a run: its matrix, its rows as the matrix reads them, and where it ends.
@unsafe struct ProductTarget {
  var rows: UnsafeRawPointer
  var rowBytes: Int
  var panels: UnsafeRawPointer
  var panelBytes: Int
  var panelCount: Int
  var format: WeightFormat
  var inputWidth: Int
  var outputWidth: Int
  var output: UnsafeMutablePointer<Float>
  var accumulates: Bool

  init(
    _ matrix: PackedMatrix, rows: (start: UnsafeRawPointer, rowBytes: Int),
    output: UnsafeMutablePointer<Float>, accumulates: Bool
  ) {
    unsafe self.rows = unsafe rows.start
    unsafe rowBytes = unsafe rows.rowBytes
    unsafe panels = unsafe UnsafeRawPointer(matrix.panels)
    unsafe panelBytes = matrix.panelBytes
    unsafe panelCount = matrix.panelCount
    unsafe format = matrix.format
    unsafe inputWidth = matrix.inputWidth
    unsafe outputWidth = matrix.outputWidth
    unsafe self.output = unsafe output
    unsafe self.accumulates = accumulates
  }

  /// Memory that a worker needs for it.
  var scratchBytes: Int {
    guard unsafe format.rowForm == .codes else { return 0 }
    return unsafe CodeTask.scratchBytes(blockCount: inputWidth / CodeFormat.blockInputs)
  }

  /// Multiplies some rows with some panels.
  func multiply(
    _ rowRange: Range<Int>, panels panelRange: Range<Int>, _ kernels: KernelTable,
    _ scratch: UnsafeMutableRawPointer
  ) {
    let firstOutput = unsafe panelRange.lowerBound * format.panelOutputs
    // SAFETY: the run asks for rows and panels that there are.
    let from = unsafe rows + rowRange.lowerBound * rowBytes
    let weights = unsafe panels + panelRange.lowerBound * panelBytes
    let to = unsafe output + rowRange.lowerBound * outputWidth + firstOutput
    switch unsafe format {
    case .elements(let type):
      var task = unsafe PanelTask(
        rows: from, rowBytes: rowBytes, rowCount: rowRange.count, panels: weights,
        panelCount: panelRange.count, element: type.stored, inputWidth: inputWidth,
        outputWidth: outputWidth - firstOutput, output: to, outputStride: outputWidth,
        accumulates: accumulates)
      unsafe kernels.multiply(&task)
    case .codes(let format):
      var task = unsafe CodeTask(
        rows: from, rowBytes: rowBytes, rowCount: rowRange.count,
        blockCount: inputWidth / CodeFormat.blockInputs, panels: weights,
        panelCount: panelRange.count, format: format, outputWidth: outputWidth - firstOutput,
        output: to, outputStride: outputWidth, accumulates: accumulates, scratch: scratch)
      unsafe kernels.multiplyCodes(&task)
    }
  }
}

extension ProductTarget {
  /// Multiplies some rows with one panel, into memory of that panel alone.
  func multiply(
    _ rowRange: Range<Int>, panel: Int, to block: UnsafeMutablePointer<Float>,
    _ kernels: KernelTable, _ scratch: UnsafeMutableRawPointer
  ) {
    var part = unsafe self
    unsafe part.rows += rowRange.lowerBound * rowBytes
    unsafe part.panels += panel * panelBytes
    unsafe part.outputWidth = min(
      format.panelOutputs, outputWidth - panel * format.panelOutputs)
    unsafe part.output = unsafe block
    unsafe part.multiply(0..<rowRange.count, panels: 0..<1, kernels, scratch)
  }
}
