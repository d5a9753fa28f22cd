import StreamingAttention
import TestSupport

/// Random matrices of every format and their products, by the kernels of one instruction set.
final class ProductHarness {
  let instructionSet: InstructionSet
  let dense: DenseKernels
  let memory = WeightMemory()
  var generator = SeededGenerator(seed: 35)

  init(_ instructionSet: InstructionSet, workerCount: Int = 2) throws {
    self.instructionSet = instructionSet
    dense = try DenseKernels(workers: Workers(count: workerCount), instructionSet: instructionSet)
  }

  func matrix(_ inputs: Int, _ outputs: Int, _ format: WeightFormat) throws -> PackedMatrix {
    if case .codes(let format) = format {
      return try CodeMatrix(
        inputs: inputs, outputs: outputs, format: format, in: memory, for: instructionSet,
        using: &generator
      ).packed
    }
    let matrix = try PackedMatrix(
      inputWidth: inputs, outputWidth: outputs, format: format, in: memory)
    for panel in 0..<matrix.panelCount {
      let weights = generator.normalFloats(matrix.outputs(ofPanel: panel).count * inputs)
      matrix.pack(panel: panel, weights: weights.span, for: instructionSet)
    }
    return matrix
  }

  func product(_ rows: [Float], _ matrix: PackedMatrix) throws -> [Float] {
    var output = [Float](
      repeating: .nan, count: rows.count / matrix.inputWidth * matrix.outputWidth)
    var span = output.mutableSpan
    try dense.multiply(rows.span, by: matrix, into: &span)
    return output
  }

  /// Three products of the same rows in one step, one after the other.
  func joined(_ rows: [Float], _ matrices: [PackedMatrix]) throws -> [Float] {
    let count = rows.count / matrices[0].inputWidth
    var first = [Float](repeating: .nan, count: count * matrices[0].outputWidth)
    var second = [Float](repeating: .nan, count: count * matrices[1].outputWidth)
    var third = [Float](repeating: .nan, count: count * matrices[2].outputWidth)
    try dense.load(rows.span, width: matrices[0].inputWidth, as: [.plain, .pairs, .codes])
    try multiply(matrices, &first, &second, &third)
    return first + second + third
  }

  private func multiply(
    _ matrices: [PackedMatrix], _ first: inout [Float], _ second: inout [Float],
    _ third: inout [Float]
  ) throws {
    var first = first.mutableSpan
    var second = second.mutableSpan
    var third = third.mutableSpan
    try dense.multiply(
      by: matrices[0], into: &first, by: matrices[1], into: &second, by: matrices[2],
      into: &third, accumulating: false, cancellation: nil)
  }

  /// down(silu(gate) · up), gated in one step.
  func gated(
    _ rows: [Float], _ gate: PackedMatrix, _ up: PackedMatrix, _ down: PackedMatrix
  ) throws -> [Float] {
    try dense.load(rows.span, width: gate.inputWidth, as: [.plain, .pairs, .codes])
    try dense.loadGated(gate: gate, up: up, as: down.format.rowForm)
    var output = [Float](repeating: .nan, count: rows.count / gate.inputWidth * down.outputWidth)
    var span = output.mutableSpan
    try dense.multiply(by: down, into: &span)
    return output
  }

  /// silu(gates) · factors.
  func gates(_ gates: [Float], by factors: [Float]) -> [Float] {
    var result = gates
    var span = result.mutableSpan
    dense.gate(&span, by: factors.span)
    return result
  }
}
