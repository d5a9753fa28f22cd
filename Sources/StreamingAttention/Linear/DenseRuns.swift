import KernelTable

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
