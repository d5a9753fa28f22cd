import KernelTable
package import Memory

/// A weight matrix `[output][input]` in panels of 64 or 32 outputs, as the tiles read it.
///
/// A panel of single weights is laid out like the keys of a page, so a linear layer is the score tile over another K.
@safe package final class PackedMatrix: Sendable {
  package let inputWidth: Int
  package let outputWidth: Int
  package let format: WeightFormat
  private let block: WeightMemory.Block
  private let offset: Int

  /// A matrix of zeros.
  package init(
    inputWidth: Int, outputWidth: Int, format: WeightFormat, in memory: WeightMemory
  ) throws(MemoryError) {
    precondition(
      inputWidth > 0 && outputWidth > 0 && format.takes(inputWidth: inputWidth),
      "a matrix of \(outputWidth) × \(inputWidth) as \(format)")
    self.inputWidth = inputWidth
    self.outputWidth = outputWidth
    self.format = format
    (block, offset) = try memory.take(
      format.byteCount(inputWidth: inputWidth, outputWidth: outputWidth))
  }

  /// What its products read.
  package var rowForm: RowForms { format.rowForm }

  /// Panels; the last one may be ragged.
  package var panelCount: Int { format.panelCount(outputWidth: outputWidth) }

  /// Bytes that the weights take.
  package var byteCount: Int {
    format.byteCount(inputWidth: inputWidth, outputWidth: outputWidth)
  }

  var panelBytes: Int { format.panelBytes(inputWidth: inputWidth) }

  /// The first panel.
  @unsafe var panels: UnsafeMutableRawPointer {
    // SAFETY: the block lives as long as this matrix, and holds its panels from `offset` on.
    unsafe UnsafeMutableRawPointer(block.bytes.baseAddress + offset)
  }

  /// Outputs of panel number `panel`.
  package func outputs(ofPanel panel: Int) -> Range<Int> {
    let width = format.panelOutputs
    return panel * width..<min((panel + 1) * width, outputWidth)
  }

  /// Rounds and packs one panel of a matrix of single weights from its outputs' weights, `[output][input]`.
  ///
  /// Different panels may be packed on different threads, all of them before the matrix is multiplied with.
  package func pack(panel: Int, weights: Span<Float>, for instructionSet: InstructionSet) {
    let outputs = outputs(ofPanel: panel)
    guard case .elements(let type) = format else {
      preconditionFailure("weights for a matrix of codes")
    }
    precondition(
      panel >= 0 && panel < panelCount && weights.count == outputs.count * inputWidth,
      "panel \(panel) of \(panelCount) takes \(outputs.count * inputWidth) weights, not \(weights.count)"
    )
    unsafe weights.withUnsafeBufferPointer { weights in
      guard let source = weights.baseAddress else { return }
      // SAFETY: the panel lies within the buffer, and the span holds all its weights (checked above).
      var task = unsafe PackTask(
        source: source, sourceStride: inputWidth, rowCount: outputs.count, width: inputWidth,
        element: type.stored, target: panels + panel * panelBytes, targetRowBytes: 0)
      unsafe instructionSet.kernels.packPanel(&task)
    }
  }

  /// Packs one panel of a matrix of codes.
  ///
  /// - Parameters:
  ///   - panel: Which one; different panels may be packed on different threads.
  ///   - codes: `[output][input]`, below 16 where codes have 4 bits.
  ///   - scales: f16, `[output][block of 32 inputs]`.
  ///   - minima: as many; not looked at where the format stores none.
  ///   - instructionSet: Whose kernels pack.
  package func pack(
    panel: Int, codes: Span<UInt8>, scales: Span<UInt16>, minima: Span<UInt16>,
    for instructionSet: InstructionSet
  ) {
    let outputs = outputs(ofPanel: panel)
    let blockCount = inputWidth / CodeFormat.blockInputs
    guard case .codes(let format) = format else {
      preconditionFailure("codes for a matrix of single weights")
    }
    precondition(
      panel >= 0 && panel < panelCount && codes.count == outputs.count * inputWidth
        && scales.count == outputs.count * blockCount && minima.count == scales.count,
      "panel \(panel) of \(panelCount) takes \(outputs.count * inputWidth) codes, not \(codes.count)"
    )
    unsafe codes.withUnsafeBufferPointer { codes in
      unsafe scales.withUnsafeBufferPointer { scales in
        unsafe minima.withUnsafeBufferPointer { minima in
          guard let codes = codes.baseAddress, let scales = scales.baseAddress,
            let minima = minima.baseAddress
          else { return }
          // SAFETY: the panel lies within the buffer, and the spans hold all of it (checked above).
          var task = unsafe PackCodesTask(
            codes: codes, scales: scales, minima: minima, outputCount: outputs.count,
            blockCount: blockCount, format: format, panel: panels + panel * panelBytes)
          unsafe instructionSet.kernels.packCodes(&task)
        }
      }
    }
  }
}
