import KernelTable
import Memory

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

/// How rows and panels are cut into items: consecutive items share their rows.
struct ProductCut {
  /// Rows of a block: enough to use a panel often, few enough that a block stays in the second-level cache.
  let blockRows: Int
  let blockCount: Int
  let panelsPerItem: Int

  init(rowCount: Int, rowBytes: Int, panelCount: Int, workerCount: Int) {
    blockRows = max(12, min(rowCount, (512 << 10) / rowBytes / 12 * 12))
    blockCount = (rowCount + blockRows - 1) / blockRows
    // A handful of items for each worker keeps them level; more would only be claimed one by one.
    panelsPerItem = min(max(1, panelCount * blockCount / (8 * workerCount)), 16)
  }

  func rows(ofBlock block: Int, of rowCount: Int) -> Range<Int> {
    block * blockRows..<min((block + 1) * blockRows, rowCount)
  }
}

/// What the items of up to three products of the same rows read: blocks of rows times groups of panels.
@unsafe struct ProductRun {
  private let kernels: KernelTable
  private let rowCount: Int
  private let workerCount: Int
  private var targets: InlineArray<3, ProductTarget>
  private var targetCount = 1
  /// `scratchBytes` for each worker.
  var scratch: UnsafeMutableRawPointer?

  init(kernels: KernelTable, rowCount: Int, workerCount: Int, _ first: ProductTarget) {
    unsafe self.kernels = kernels
    unsafe self.rowCount = rowCount
    unsafe self.workerCount = workerCount
    unsafe targets = unsafe InlineArray(repeating: first)
  }

  mutating func add(_ target: ProductTarget) {
    unsafe targets[targetCount] = unsafe target
    unsafe targetCount += 1
  }

  /// Memory that each worker needs.
  var scratchBytes: Int {
    var most = 0
    for index in unsafe 0..<targetCount { most = unsafe max(most, targets[index].scratchBytes) }
    return most
  }

  private var cut: ProductCut {
    var (panels, bytes) = (0, 1)
    for index in unsafe 0..<targetCount {
      panels += unsafe targets[index].panelCount
      bytes = unsafe max(bytes, targets[index].rowBytes)
    }
    return unsafe ProductCut(
      rowCount: rowCount, rowBytes: bytes, panelCount: panels, workerCount: workerCount)
  }

  private func groups(of target: Int, _ cut: ProductCut) -> Int {
    unsafe (targets[target].panelCount + cut.panelsPerItem - 1) / cut.panelsPerItem
  }

  var itemCount: Int {
    let cut = unsafe cut
    var groups = 0
    for index in unsafe 0..<targetCount { groups += unsafe self.groups(of: index, cut) }
    return groups * cut.blockCount
  }

  /// Item `item`, of `itemCount`.
  func multiply(item: Int, worker: Int) {
    let cut = unsafe cut
    let (block, rest) = unsafe item.quotientAndRemainder(dividingBy: itemCount / cut.blockCount)
    var group = rest
    var index = 0
    while unsafe group >= groups(of: index, cut) {
      group -= unsafe groups(of: index, cut)
      index += 1
    }
    guard let scratch = unsafe scratch else { return }
    let target = unsafe targets[index]
    let first = group * cut.panelsPerItem
    unsafe target.multiply(
      cut.rows(ofBlock: block, of: rowCount),
      panels: first..<min(first + cut.panelsPerItem, target.panelCount), kernels,
      scratch + worker * scratchBytes)
  }
}

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

/// Rows on their way into the forms that products read, some at a time.
@unsafe struct LoadRun {
  private static let piece = 16

  private let kernels: KernelTable
  private let source: UnsafePointer<Float>
  private let rowCount: Int
  private let width: Int
  private let forms: RowForms
  private let plain: UnsafeMutablePointer<Float>
  private let pairs: UnsafeMutableRawPointer
  private let pairsRowBytes: Int
  private let codes: UnsafeMutableRawPointer
  private let codesRowBytes: Int
  /// What happens to the rows on the way, if anything.
  var normalization: RowNormalization.Pointers?

  /// Brings `source` (which may be the plain rows themselves) into the forms of `rows`.
  init(kernels: KernelTable, source: UnsafePointer<Float>, rows: borrowing LeftRows) {
    unsafe self.kernels = kernels
    unsafe self.source = unsafe source
    unsafe rowCount = rows.count
    unsafe width = rows.width
    unsafe forms = rows.forms
    unsafe plain = unsafe rows.plainRows
    unsafe pairs = unsafe rows.pairsRows
    unsafe pairsRowBytes = rows.pairsRowBytes
    unsafe codes = unsafe rows.codesRows
    unsafe codesRowBytes = rows.codesRowBytes
  }

  var itemCount: Int { unsafe (rowCount + Self.piece - 1) / Self.piece }

  func load(item: Int) {
    let first = unsafe item * Self.piece
    let count = unsafe min(Self.piece, rowCount - first)
    var from = unsafe source + first * width
    let own = unsafe plain + first * width
    if let normalization = unsafe normalization {
      for row in 0..<count {
        unsafe normalize(from + row * width, by: normalization, to: own + row * width)
      }
      unsafe from = UnsafePointer(own)
    } else if unsafe forms.contains(.plain) && from != UnsafePointer(own) {
      // SAFETY: `rows` has room for its plain rows; the caller's are elsewhere.
      unsafe own.update(from: from, count: count * width)
    }
    if unsafe forms.contains(.pairs) {
      var task = unsafe PackTask(
        source: from, sourceStride: width, rowCount: count, width: width, element: .bfloat16,
        target: pairs + first * pairsRowBytes, targetRowBytes: pairsRowBytes)
      unsafe kernels.packRows(&task)
    }
    if unsafe forms.contains(.codes) {
      var task = unsafe QuantizeTask(
        source: from, sourceStride: width, rowCount: count, width: width,
        target: codes + first * codesRowBytes, targetRowBytes: codesRowBytes)
      unsafe kernels.quantizeRows(&task)
    }
  }
}

extension LoadRun {
  private func normalize(
    _ x: UnsafePointer<Float>, by normalization: RowNormalization.Pointers,
    to result: UnsafeMutablePointer<Float>
  ) {
    switch unsafe normalization.kind {
    case .rootMeanSquare:
      var task = unsafe NormalizeTask(
        x: x, weight: normalization.weight, epsilon: normalization.epsilon, width: width,
        result: result)
      unsafe kernels.normalize(&task)
    case .layer:
      var task = unsafe StandardizeTask(
        x: x, weight: normalization.weight, bias: normalization.bias,
        epsilon: normalization.epsilon, width: width, result: result)
      unsafe kernels.standardize(&task)
    }
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
  private static let piece = 2048

  let kernels: KernelTable
  let gate: UnsafeMutablePointer<Float>
  let up: UnsafePointer<Float>
  let count: Int

  static func pieces(of count: Int) -> Int { unsafe (count + piece - 1) / piece }

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
