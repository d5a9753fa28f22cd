import KernelTable
package import Memory

/// A weight matrix `[output][input]` in panels of 64 outputs, as the tiles read it.
///
/// A panel is laid out like the keys of a page, so a linear layer is the score tile over another K.
@safe package final class PackedMatrix: Sendable {
  /// Outputs of a panel.
  package static let panelWidth = 64

  package let inputWidth: Int
  package let outputWidth: Int
  package let type: ElementType
  private let block: WeightMemory.Block
  private let offset: Int

  /// A matrix of zeros.
  package init(
    inputWidth: Int, outputWidth: Int, type: ElementType, in memory: WeightMemory
  ) throws(MemoryError) {
    precondition(inputWidth > 0 && outputWidth > 0, "a matrix of \(outputWidth) × \(inputWidth)")
    self.inputWidth = inputWidth
    self.outputWidth = outputWidth
    self.type = type
    let panelCount = (outputWidth + Self.panelWidth - 1) / Self.panelWidth
    (block, offset) = try memory.take(panelCount * Self.panelBytes(inputWidth, type))
  }

  /// Panels; the last one may be ragged.
  package var panelCount: Int { (outputWidth + Self.panelWidth - 1) / Self.panelWidth }

  /// Bytes that the weights take.
  package var byteCount: Int { panelCount * Self.panelBytes(inputWidth, type) }

  /// The first panel.
  @unsafe var panels: UnsafeMutableRawPointer {
    // SAFETY: the block lives as long as this matrix, and holds its panels from `offset` on.
    unsafe UnsafeMutableRawPointer(block.bytes.baseAddress + offset)
  }

  /// Outputs of panel number `panel`.
  package func outputs(ofPanel panel: Int) -> Range<Int> {
    panel * Self.panelWidth..<min((panel + 1) * Self.panelWidth, outputWidth)
  }

  static func panelBytes(_ inputWidth: Int, _ type: ElementType) -> Int {
    switch type {
    case .float32: inputWidth * 256
    case .float16: inputWidth * 128
    case .bfloat16: (inputWidth + 1) / 2 * 256
    }
  }

  /// Rounds and packs one panel from its outputs' weights, `[output][input]`.
  ///
  /// Different panels may be packed on different threads, all of them before the matrix is multiplied with.
  package func pack(panel: Int, weights: Span<Float>, for instructionSet: InstructionSet) {
    let outputs = outputs(ofPanel: panel)
    precondition(
      panel >= 0 && panel < panelCount && weights.count == outputs.count * inputWidth,
      "panel \(panel) of \(panelCount) takes \(outputs.count * inputWidth) weights, not \(weights.count)"
    )
    unsafe weights.withUnsafeBufferPointer { weights in
      guard let source = weights.baseAddress else { return }
      // SAFETY: the panel lies within the buffer, and the span holds all its weights (checked above).
      var task = unsafe PackTask(
        source: source, sourceStride: inputWidth, rowCount: outputs.count, width: inputWidth,
        element: type.stored,
        target: panels + panel * Self.panelBytes(inputWidth, type),
        targetRowBytes: 0)
      unsafe instructionSet.kernels.packPanel(&task)
    }
  }
}
