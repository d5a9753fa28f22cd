package import KernelTable

/// How a matrix holds its weights.
package enum WeightFormat: Sendable, Equatable {
  /// Each weight by itself, in a type that is not quantised; codes below are another matter.
  case elements(ElementType)
  /// Codes with a scale and a minimum for each output and 32 inputs.
  case codes(CodeFormat)

  /// Inputs that share a scale and a minimum.
  package static let blockInputs = CodeFormat.blockInputs

  /// Codes of 4 bits; the minimum is −8 scales.
  package static let centeredNibbles = WeightFormat.codes(.centeredNibbles)
  /// Codes of 4 bits and minima.
  package static let nibbles = WeightFormat.codes(.nibbles)
  /// Codes of 8 bits; the minimum is −128 scales.
  package static let centeredBytes = WeightFormat.codes(.centeredBytes)
  /// Codes of 8 bits and minima.
  package static let bytes = WeightFormat.codes(.bytes)

  /// Outputs of a panel.
  package var panelOutputs: Int {
    switch self {
    case .elements: 64
    case .codes: CodeFormat.panelOutputs
    }
  }

  /// Whether rows of this many inputs can be held.
  package func takes(inputWidth: Int) -> Bool {
    switch self {
    case .elements: true
    case .codes: inputWidth % CodeFormat.blockInputs == 0
    }
  }

  /// Panels of a matrix; the last one may be ragged.
  func panelCount(outputWidth: Int) -> Int { (outputWidth + panelOutputs - 1) / panelOutputs }

  /// Bytes of a matrix.
  package func byteCount(inputWidth: Int, outputWidth: Int) -> Int {
    panelCount(outputWidth: outputWidth) * panelBytes(inputWidth: inputWidth)
  }

  func panelBytes(inputWidth: Int) -> Int {
    switch self {
    case .elements(.float32): inputWidth * 256
    case .elements(.float16), .elements(.int8), .elements(.int4): inputWidth * 128
    case .elements(.bfloat16): (inputWidth + 1) / 2 * 256
    case .codes(let format): inputWidth / CodeFormat.blockInputs * format.blockBytes
    }
  }
}
