import KernelTable
import Memory

/// What the items of one product read: blocks of rows times groups of panels.
@unsafe struct ProductRun {
  private let kernels: KernelTable
  private let rows: UnsafeRawPointer
  private let rowBytes: Int
  private let rowCount: Int
  private let panels: UnsafeRawPointer
  private let panelBytes: Int
  private let panelCount: Int
  private let element: StoredElement
  private let inputWidth: Int
  private let outputWidth: Int
  private let output: UnsafeMutablePointer<Float>
  private let accumulates: Bool

  /// Rows of a block: enough to use a panel often, few enough that a block stays in the second-level cache.
  private let blockRows: Int
  private let panelsPerItem: Int
  private let itemsPerBlock: Int
  let itemCount: Int

  init(
    kernels: KernelTable, rows: UnsafeRawPointer, rowBytes: Int, rowCount: Int,
    matrix: PackedMatrix, output: UnsafeMutablePointer<Float>, accumulates: Bool, workerCount: Int
  ) {
    unsafe self.kernels = kernels
    unsafe self.rows = unsafe rows
    unsafe self.rowBytes = rowBytes
    unsafe self.rowCount = rowCount
    unsafe panels = unsafe UnsafeRawPointer(matrix.panels)
    unsafe panelBytes = PackedMatrix.panelBytes(matrix.inputWidth, matrix.type)
    unsafe panelCount = matrix.panelCount
    unsafe element = matrix.type.stored
    unsafe inputWidth = matrix.inputWidth
    unsafe outputWidth = matrix.outputWidth
    unsafe self.output = unsafe output
    unsafe self.accumulates = accumulates
    unsafe blockRows = max(12, min(rowCount, (512 << 10) / rowBytes / 12 * 12))
    // A handful of items for each worker keeps them level; more would only be claimed one by one.
    let blocks = unsafe (rowCount + blockRows - 1) / blockRows
    let wanted = unsafe max(1, panelCount * blocks / (8 * workerCount))
    unsafe panelsPerItem = min(wanted, 16)
    unsafe itemsPerBlock = (panelCount + panelsPerItem - 1) / panelsPerItem
    unsafe itemCount = itemsPerBlock * blocks
  }

  /// Item `item`: consecutive items share their rows.
  func multiply(item: Int) {
    let (block, group) = unsafe item.quotientAndRemainder(dividingBy: itemsPerBlock)
    let firstRow = unsafe block * blockRows
    let firstPanel = unsafe group * panelsPerItem
    let firstOutput = firstPanel * PackedMatrix.panelWidth
    // SAFETY: blocks and groups lie within the rows and panels that the initialiser was given.
    var task = unsafe PanelTask(
      rows: rows + firstRow * rowBytes, rowBytes: rowBytes,
      rowCount: min(blockRows, rowCount - firstRow), panels: panels + firstPanel * panelBytes,
      panelCount: min(panelsPerItem, panelCount - firstPanel), element: element,
      inputWidth: inputWidth, outputWidth: outputWidth - firstOutput,
      output: output + firstRow * outputWidth + firstOutput, outputStride: outputWidth,
      accumulates: accumulates)
    unsafe kernels.multiply(&task)
  }
}

/// Normalisation of consecutive rows; `task` is that of row 0.
@unsafe struct NormalizeRun {
  let kernels: KernelTable
  let task: NormalizeTask

  func normalize(row: Int) {
    var task = unsafe task
    unsafe task.x += row * task.width
    unsafe task.result += row * task.width
    unsafe kernels.normalize(&task)
  }
}

/// Gating of consecutive pieces.
@unsafe struct GateRun {
  /// Numbers of a piece.
  static let piece = 2048

  let kernels: KernelTable
  let gate: UnsafeMutablePointer<Float>
  let up: UnsafePointer<Float>
  let count: Int

  func gate(piece: Int) {
    let first = unsafe piece * Self.piece
    var task = unsafe GateTask(
      gate: gate + first, up: up + first, count: min(Self.piece, count - first),
      result: gate + first)
    unsafe kernels.gate(&task)
  }
}

/// Layer normalisation of consecutive rows; `task` is that of row 0.
@unsafe struct StandardizeRun {
  let kernels: KernelTable
  let task: StandardizeTask

  func standardize(row: Int) {
    var task = unsafe task
    unsafe task.x += row * task.width
    unsafe task.result += row * task.width
    unsafe kernels.standardize(&task)
  }
}

/// GELU of consecutive pieces.
@unsafe struct GELURun {
  /// Numbers of a piece.
  static let piece = 2048

  let kernels: KernelTable
  let numbers: UnsafeMutablePointer<Float>
  let form: GELUForm
  let count: Int

  func gelu(piece: Int) {
    let first = unsafe piece * Self.piece
    var task = unsafe GELUTask(
      x: numbers + first, form: form, count: min(Self.piece, count - first),
      result: numbers + first)
    unsafe kernels.gelu(&task)
  }
}
