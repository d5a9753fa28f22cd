/// Softmax states of some rows, the right ones merged into the left ones.
///
/// A state is that of `LeafTask`: maxima, denominators, outputs.
@unsafe package struct MergeTask {
  package var rowCount: Int
  /// Floats from one row of outputs to the next, a multiple of 16.
  package var outputStride: Int
  package var maxima: UnsafeMutablePointer<Float>
  package var denominators: UnsafeMutablePointer<Float>
  package var outputs: UnsafeMutablePointer<Float>
  package var rightMaxima: UnsafePointer<Float>
  package var rightDenominators: UnsafePointer<Float>
  package var rightOutputs: UnsafePointer<Float>

  package init(
    rowCount: Int, outputStride: Int, maxima: UnsafeMutablePointer<Float>,
    denominators: UnsafeMutablePointer<Float>, outputs: UnsafeMutablePointer<Float>,
    rightMaxima: UnsafePointer<Float>, rightDenominators: UnsafePointer<Float>,
    rightOutputs: UnsafePointer<Float>
  ) {
    unsafe self.rowCount = rowCount
    unsafe self.outputStride = outputStride
    unsafe self.maxima = maxima
    unsafe self.denominators = denominators
    unsafe self.outputs = outputs
    unsafe self.rightMaxima = rightMaxima
    unsafe self.rightDenominators = rightDenominators
    unsafe self.rightOutputs = rightOutputs
  }
}

/// The outputs of a complete state, each row times its factor, to where the caller wants them.
@unsafe package struct OutputTask {
  package var rowCount: Int
  /// Rows of one token, which lie side by side.
  package var group: Int
  package var width: Int
  package var outputs: UnsafePointer<Float>
  /// Floats from one row of outputs to the next, a multiple of 16.
  package var outputStride: Int
  package var factors: UnsafePointer<Float>
  /// Where the first row goes.
  package var target: UnsafeMutablePointer<Float>
  /// Floats of the target from one token to the next.
  package var tokenStride: Int

  package init(
    rowCount: Int, group: Int, width: Int, outputs: UnsafePointer<Float>, outputStride: Int,
    factors: UnsafePointer<Float>, target: UnsafeMutablePointer<Float>, tokenStride: Int
  ) {
    unsafe self.rowCount = rowCount
    unsafe self.group = group
    unsafe self.width = width
    unsafe self.outputs = outputs
    unsafe self.outputStride = outputStride
    unsafe self.factors = factors
    unsafe self.target = target
    unsafe self.tokenStride = tokenStride
  }
}

/// f32 rows on their way into packed form: activations as left factors, or weights as one panel of 64 outputs.
@unsafe package struct PackTask {
  /// `[row][width]`.
  package var source: UnsafePointer<Float>
  /// In floats.
  package var sourceStride: Int
  /// At most 64 for a panel, whose other columns become zero.
  package var rowCount: Int
  package var width: Int
  package var element: StoredElement
  package var target: UnsafeMutableRawPointer
  /// Of left factors: `PanelTask.rowBytes(inputWidth:)`.
  package var targetRowBytes: Int

  package init(
    source: UnsafePointer<Float>, sourceStride: Int, rowCount: Int, width: Int,
    element: StoredElement, target: UnsafeMutableRawPointer, targetRowBytes: Int
  ) {
    unsafe self.source = source
    unsafe self.sourceStride = sourceStride
    unsafe self.rowCount = rowCount
    unsafe self.width = width
    unsafe self.element = element
    unsafe self.target = target
    unsafe self.targetRowBytes = targetRowBytes
  }
}

/// result ← x · weight / √(mean x² + ε); `result` may be `x`.
@unsafe package struct NormalizeTask {
  package var x: UnsafePointer<Float>
  package var weight: UnsafePointer<Float>
  package var epsilon: Float
  package var width: Int
  package var result: UnsafeMutablePointer<Float>

  package init(
    x: UnsafePointer<Float>, weight: UnsafePointer<Float>, epsilon: Float, width: Int,
    result: UnsafeMutablePointer<Float>
  ) {
    unsafe self.x = x
    unsafe self.weight = weight
    unsafe self.epsilon = epsilon
    unsafe self.width = width
    unsafe self.result = result
  }
}

/// result ← silu(gate) · up; `result` may be `gate`.
@unsafe package struct GateTask {
  package var gate: UnsafePointer<Float>
  package var up: UnsafePointer<Float>
  package var count: Int
  package var result: UnsafeMutablePointer<Float>

  package init(
    gate: UnsafePointer<Float>, up: UnsafePointer<Float>, count: Int,
    result: UnsafeMutablePointer<Float>
  ) {
    unsafe self.gate = gate
    unsafe self.up = up
    unsafe self.count = count
    unsafe self.result = result
  }
}

/// result ← (x − mean x) · weight / √(variance x + ε) + bias; `result` may be `x`.
@unsafe package struct StandardizeTask {
  package var x: UnsafePointer<Float>
  package var weight: UnsafePointer<Float>
  /// nil for none.
  package var bias: UnsafePointer<Float>?
  package var epsilon: Float
  package var width: Int
  package var result: UnsafeMutablePointer<Float>

  package init(
    x: UnsafePointer<Float>, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    epsilon: Float, width: Int, result: UnsafeMutablePointer<Float>
  ) {
    unsafe self.x = x
    unsafe self.weight = weight
    unsafe self.bias = bias
    unsafe self.epsilon = epsilon
    unsafe self.width = width
    unsafe self.result = result
  }
}

/// How x·Φ(x) is computed.
package enum GELUForm: UInt8, Sendable, BitwiseCopyable {
  /// Φ is the normal distribution's.
  case exact = 0
  /// Φ(x) ≈ ½ + ½ tanh(√(2/π)·(x + 0.044715 x³)).
  case tanh = 1
}

/// result ← x·Φ(x); `result` may be `x`.
@unsafe package struct GELUTask {
  package var x: UnsafePointer<Float>
  package var form: GELUForm
  package var count: Int
  package var result: UnsafeMutablePointer<Float>

  package init(
    x: UnsafePointer<Float>, form: GELUForm, count: Int, result: UnsafeMutablePointer<Float>
  ) {
    unsafe self.x = x
    unsafe self.form = form
    unsafe self.count = count
    unsafe self.result = result
  }
}
