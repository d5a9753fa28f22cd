/// What every instruction set provides: one struct of kernel functions.
///
/// C function types: no context, so a call neither retains nor allocates. Kernels check nothing; the callers
/// (`Plan`, the slot writer, the linear layer) have checked every shape and length.
@safe package struct KernelTable: Sendable {
  /// Takes the address of a task struct.
  package typealias Function = @convention(c) (UnsafeRawPointer) -> Void
  /// (row count, key width, value width) → bytes.
  package typealias ScratchBytes = @convention(c) (Int, Int, Int) -> Int
  /// (source, source stride in floats, row count, input width, element raw value, destination, row bytes).
  package typealias PackRows =
    @convention(c) (
      UnsafePointer<Float>, Int, Int, Int, UInt8, UnsafeMutableRawPointer, Int
    ) -> Void
  /// (input width, element raw value) → bytes.
  package typealias PackedRowBytes = @convention(c) (Int, UInt8) -> Int
  /// (source, source stride in floats, output count ≤ 64, input width, element raw value, panel).
  package typealias PackPanel =
    @convention(c) (UnsafePointer<Float>, Int, Int, Int, UInt8, UnsafeMutableRawPointer) -> Void
  /// (row count, output stride, then maxima, denominators, outputs of the left and of the right state).
  package typealias Merge =
    @convention(c) (
      Int, Int, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>,
      UnsafePointer<Float>
    ) -> Void
  /// (x, weight, ε, width, result).
  package typealias Normalize =
    @convention(c) (
      UnsafePointer<Float>, UnsafePointer<Float>, Float, Int, UnsafeMutablePointer<Float>
    ) -> Void
  /// (gate, up, count, result).
  package typealias Gate =
    @convention(c) (UnsafePointer<Float>, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>) ->
    Void

  /// The instruction set.
  package let name: String
  /// `LeafTask` → the softmax state of its rows over one leaf.
  package let attend: Function
  /// Bytes of scratch that `attend` needs.
  package let attendScratchBytes: ScratchBytes
  /// `SlotTask` → keys and values written into a page.
  package let writeSlots: Function
  /// `PanelTask` → rows × panels.
  package let multiply: Function
  /// f32 rows → the operand form that `multiply` wants for an element.
  package let packRows: PackRows
  /// Bytes of one packed row, a multiple of 64.
  package let packedRowBytes: PackedRowBytes
  /// f32 `[output][inputWidth]` → one panel.
  package let packPanel: PackPanel
  /// Merges the states of some rows, the right one into the left one.
  package let merge: Merge
  /// result ← x · weight / √(mean x² + ε).
  package let rootMeanSquareNormalize: Normalize
  /// result ← silu(gate) · up.
  package let gatedSilu: Gate

  package init(
    name: String, attend: @escaping Function, attendScratchBytes: @escaping ScratchBytes,
    writeSlots: @escaping Function, multiply: @escaping Function, packRows: @escaping PackRows,
    packedRowBytes: @escaping PackedRowBytes, packPanel: @escaping PackPanel,
    merge: @escaping Merge, rootMeanSquareNormalize: @escaping Normalize,
    gatedSilu: @escaping Gate
  ) {
    self.name = name
    unsafe self.attend = attend
    self.attendScratchBytes = attendScratchBytes
    unsafe self.writeSlots = writeSlots
    unsafe self.multiply = multiply
    unsafe self.packRows = packRows
    self.packedRowBytes = packedRowBytes
    unsafe self.packPanel = packPanel
    unsafe self.merge = merge
    unsafe self.rootMeanSquareNormalize = rootMeanSquareNormalize
    unsafe self.gatedSilu = gatedSilu
  }
}
