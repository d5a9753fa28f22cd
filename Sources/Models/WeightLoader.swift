import Memory
import ModelFiles
import StreamingAttention

/// Reads tensors, checks their shapes and packs matrices.
struct WeightLoader {
  let file: GGUFFile
  let type: WeightType
  let workers: Workers
  let instructionSet: InstructionSet
  let memory = WeightMemory()

  /// Panels that are widened at once: enough for every worker, a few megabytes.
  private static let panelsAtOnce = 16

  /// Throws for a required tensor that is missing and for one that the architecture does not know: leaving it out would
  /// compute another model.
  ///
  /// The cost depends on the tensors that there are, not on the layers that the file claims.
  func checkNames(_ shape: DecoderShape) throws(ModelError) {
    let names = shape.architecture.family.tensorNames(of: shape.architecture)
    let whole = Set(names.required + names.optional)
    let parts = Set(names.requiredInLayer + names.optionalInLayer)
    for tensor in file.tensors where !whole.contains(tensor.name) {
      let words = tensor.name.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
      guard words.count == 3, words[0] == "blk", let layer = Int(words[1]),
        (0..<shape.layers).contains(layer), String(layer) == words[1],
        parts.contains(String(words[2]))
      else {
        throw .unsupported(
          path: file.path, item: "tensor", found: tensor.name,
          allowed: "those of \(shape.architecture.rawValue) with \(shape.layers) layers")
      }
    }
    for name in names.required { _ = try tensor(name) }
    for layer in 0..<shape.layers {
      for part in names.requiredInLayer { _ = try tensor("blk.\(layer).\(part)") }
    }
  }

  func embedding(width: Int) throws(ModelError) -> GGUFTensor {
    let tensor = try tensor("token_embd.weight")
    guard tensor.dimensions.count == 2, tensor.columnCount == width else {
      throw .file(
        .wrongShape(
          path: file.path, tensor: tensor.name, found: tensor.dimensions,
          wanted: [width, tensor.dimensions.count > 1 ? tensor.dimensions[1] : 1]))
    }
    return tensor
  }

  private func tensor(_ name: String) throws(ModelError) -> GGUFTensor {
    do throws(ModelFileError) {
      let tensor = try file.tensor(name)
      guard tensor.type.isSupported else {
        throw .unsupportedType(path: file.path, tensor: name, found: "\(tensor.type)")
      }
      return tensor
    } catch {
      throw .file(error)
    }
  }

  func vector(_ name: String, count: Int) throws(ModelError) -> [Float] {
    let tensor = try tensor(name)
    do throws(ModelFileError) {
      try tensor.expect(shape: [count])
      return try tensor.floats()
    } catch {
      throw .file(error)
    }
  }

  func optionalVector(_ name: String, count: Int) throws(ModelError) -> [Float]? {
    file[name] == nil ? nil : try vector(name, count: count)
  }

  /// A norm's weight, and its bias where the file has one.
  func norm(_ name: String, count: Int) throws(ModelError) -> Norm {
    Norm(
      weight: try vector(name + ".weight", count: count),
      bias: try optionalVector(name + ".bias", count: count) ?? [])
  }

  func optionalNorm(_ name: String, count: Int) throws(ModelError) -> Norm? {
    file[name + ".weight"] == nil ? nil : try norm(name, count: count)
  }

  /// Packs a tensor's rows: its codes where they are to be kept, else its widened weights.
  func matrix(_ name: String, inputs: Int, outputs: Int) throws(ModelError) -> PackedMatrix {
    try matrix(name, inputs: inputs, rows: 0..<outputs, of: outputs)
  }

  /// Packs some rows of a tensor of `rowCount` rows.
  func matrix(
    _ name: String, inputs: Int, rows selection: Range<Int>, of rowCount: Int
  ) throws(ModelError) -> PackedMatrix {
    let tensor = try tensor(name)
    do throws(ModelFileError) { try tensor.expect(shape: [inputs, rowCount]) } catch {
      throw .file(error)
    }
    let format = format(of: tensor)
    do throws(MemoryError) {
      let matrix = try PackedMatrix(
        inputWidth: inputs, outputWidth: selection.count, format: format, in: memory)
      switch format {
      case .elements: try packWeights(of: tensor, from: selection.lowerBound, in: matrix)
      case .codes: packCodes(of: tensor, from: selection.lowerBound, in: matrix)
      }
      return matrix
    } catch {
      throw .outOfMemory(
        byteCount: format.byteCount(inputWidth: inputs, outputWidth: selection.count))
    }
  }

  private func format(of tensor: GGUFTensor) -> WeightFormat {
    if let element = type.element { return .elements(element) }
    return switch tensor.type.codeLayout {
    case .centeredNibbles: .centeredNibbles
    case .nibbles: .nibbles
    case .centeredBytes: .centeredBytes
    case .bytes: .bytes
    case nil: .elements(.float16)
    }
  }

  private func packWeights(
    of tensor: GGUFTensor, from firstRow: Int, in matrix: PackedMatrix
  ) throws(MemoryError) {
    let inputs = matrix.inputWidth
    let panelFloats = matrix.format.panelOutputs * inputs
    var weights = try Buffer<Float>(
      count: min(Self.panelsAtOnce, matrix.panelCount) * panelFloats)
    let instructionSet = instructionSet
    for first in stride(from: 0, to: matrix.panelCount, by: Self.panelsAtOnce) {
      let count = min(Self.panelsAtOnce, matrix.panelCount - first)
      weights.withMutableSpan { batch in
        _ = workers.forEachRow(of: &batch, rowWidth: panelFloats) { panel, _, weights in
          guard panel < count else { return }
          let rows = matrix.outputs(ofPanel: first + panel)
          // The tensor's type is supported: `tensor(_:)` has asked.
          try? tensor.dequantizeRows(
            firstRow + rows.lowerBound..<firstRow + rows.upperBound, into: &weights)
          matrix.pack(
            panel: first + panel, weights: weights.span.extracting(0..<rows.count * inputs),
            for: instructionSet)
        }
      }
    }
  }

  private func packCodes(of tensor: GGUFTensor, from firstRow: Int, in matrix: PackedMatrix) {
    let inputs = matrix.inputWidth
    let blocks = inputs / WeightFormat.blockInputs
    let instructionSet = instructionSet
    workers.forEachIndex(below: matrix.panelCount) { panel, _ in
      let rows = matrix.outputs(ofPanel: panel)
      var codes = [UInt8](repeating: 0, count: rows.count * inputs)
      var scales = [UInt16](repeating: 0, count: rows.count * blocks)
      var minima = scales
      var codeSpan = codes.mutableSpan
      var scaleSpan = scales.mutableSpan
      var minimumSpan = minima.mutableSpan
      tensor.writeCodes(
        ofRows: firstRow + rows.lowerBound..<firstRow + rows.upperBound, to: &codeSpan,
        scales: &scaleSpan, minima: &minimumSpan)
      matrix.pack(
        panel: panel, codes: codes.span, scales: scales.span, minima: minima.span,
        for: instructionSet)
    }
  }
}
