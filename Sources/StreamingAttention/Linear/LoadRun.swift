import KernelTable

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
