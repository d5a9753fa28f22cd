/// Rows times packed panels: `output[r][64·p + c] = Σ_i rows[r][i] · panel p[i][c]`.
///
/// A panel holds 64 output channels of a weight matrix and is laid out like the K part of a page:
/// f32 and f16 `[input][64]`, bf16 `[input pair][64][2]`, so a linear layer is the score tile over another K.
@unsafe package struct PanelTask {
  /// Made by `KernelTable.packRows`, `rowBytes` apart: f32, or bf16 pairs where the instruction set multiplies those.
  package var rows: UnsafeRawPointer
  package var rowBytes: Int
  package var rowCount: Int
  package var panels: UnsafeRawPointer
  package var panelCount: Int
  package var element: StoredElement
  package var inputWidth: Int
  /// Output channels in all panels together; the last panel may be ragged (its padding holds zeros and is not written).
  package var outputWidth: Int
  package var output: UnsafeMutablePointer<Float>
  /// In floats.
  package var outputStride: Int
  /// Adds to what `output` holds instead of replacing it (residual connections, biases).
  package var accumulates: Bool

  /// Bytes of one packed row, whatever the instruction set makes of it; a multiple of 64.
  package static func rowBytes(inputWidth: Int) -> Int { ((inputWidth + 1) / 2 * 8 + 63) / 64 * 64 }

  package init(
    rows: UnsafeRawPointer, rowBytes: Int, rowCount: Int, panels: UnsafeRawPointer, panelCount: Int,
    element: StoredElement, inputWidth: Int, outputWidth: Int, output: UnsafeMutablePointer<Float>,
    outputStride: Int, accumulates: Bool
  ) {
    unsafe self.rows = rows
    unsafe self.rowBytes = rowBytes
    unsafe self.rowCount = rowCount
    unsafe self.panels = panels
    unsafe self.panelCount = panelCount
    unsafe self.element = element
    unsafe self.inputWidth = inputWidth
    unsafe self.outputWidth = outputWidth
    unsafe self.output = output
    unsafe self.outputStride = outputStride
    unsafe self.accumulates = accumulates
  }
}
