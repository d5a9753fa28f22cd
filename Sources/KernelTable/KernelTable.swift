/// What every instruction set provides: one struct of kernel functions.
///
/// C function types: no context, so a call neither retains nor allocates. Kernels check nothing; the callers
/// (`Plan`, the slot writer, the linear layer) have checked every shape and length.
@safe package struct KernelTable: Sendable {
  package typealias Function = @convention(c) (UnsafeRawPointer) -> Void

  package let name: String
  /// `LeafTask` → the softmax state of its rows over one leaf.
  package let attend: Function
  /// Bytes of scratch that `attend` needs: (rowCount, keyWidth, valueWidth).
  package let attendScratchBytes: @convention(c) (Int, Int, Int) -> Int
  /// `SlotTask` → keys and values written into a page.
  package let writeSlots: Function
  /// `PanelTask` → rows × panels.
  package let multiply: Function
  /// (rows, f32) → the operand form `multiply` wants for an element:
  /// (source, source stride in floats, row count, input width, element raw value, destination, destination row bytes).
  package let packRows:
    @convention(c) (UnsafePointer<Float>, Int, Int, Int, UInt8, UnsafeMutableRawPointer, Int) ->
      Void
  /// Bytes of one packed row: (input width, element raw value), a multiple of 64.
  package let packedRowBytes: @convention(c) (Int, UInt8) -> Int
  /// f32 `[≤ 64 outputs][inputWidth]` → one panel: (source, source stride, output count, input width, element, panel).
  package let packPanel:
    @convention(c) (UnsafePointer<Float>, Int, Int, Int, UInt8, UnsafeMutableRawPointer) -> Void
  /// Merges the states of `rowCount` rows, right into left:
  /// (row count, output stride, left maxima, left denominators, left outputs, right maxima, right denominators, right outputs).
  package let merge:
    @convention(c) (
      Int, Int, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>,
      UnsafePointer<Float>
    ) -> Void
  /// x ← x · weight / √(mean x² + ε): (x in, weight, ε, width, out).
  package let rootMeanSquareNormalize:
    @convention(c) (
      UnsafePointer<Float>, UnsafePointer<Float>, Float, Int, UnsafeMutablePointer<Float>
    ) -> Void
  /// out ← silu(gate) · up: (gate, up, count, out).
  package let gatedSilu:
    @convention(c) (UnsafePointer<Float>, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>) ->
      Void

  package init(
    name: String, attend: @escaping Function,
    attendScratchBytes: @escaping @convention(c) (Int, Int, Int) -> Int,
    writeSlots: @escaping Function, multiply: @escaping Function,
    packRows:
      @escaping @convention(c) (
        UnsafePointer<Float>, Int, Int, Int, UInt8, UnsafeMutableRawPointer, Int
      ) -> Void,
    packedRowBytes: @escaping @convention(c) (Int, UInt8) -> Int,
    packPanel:
      @escaping @convention(c) (
        UnsafePointer<Float>, Int, Int, Int, UInt8, UnsafeMutableRawPointer
      ) -> Void,
    merge:
      @escaping @convention(c) (
        Int, Int, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
        UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>,
        UnsafePointer<Float>
      ) -> Void,
    rootMeanSquareNormalize:
      @escaping @convention(c) (
        UnsafePointer<Float>, UnsafePointer<Float>, Float, Int, UnsafeMutablePointer<Float>
      ) -> Void,
    gatedSilu:
      @escaping @convention(c) (
        UnsafePointer<Float>, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>
      ) -> Void
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
