import Memory
import ModelFiles
import StreamingAttention

/// Reads tensors, checks their shapes and packs matrices.
struct WeightLoader {
  let file: GGUFFile
  let type: ElementType
  let workers: Workers
  let instructionSet: InstructionSet
  let memory = WeightMemory()

  /// Panels that are widened at once: enough for every worker, a few megabytes.
  private static let panelsAtOnce = 16

  /// Throws for a tensor that the architecture does not know: leaving one out would compute another model.
  ///
  /// The cost depends on the tensors that there are, not on the layers that the file claims.
  func checkNames(_ shape: DecoderShape) throws(ModelError) {
    let whole: Set = [
      "token_embd.weight", "output_norm.weight", "output.weight", "rope_freqs.weight",
    ]
    let parts = Set(Self.layerParts(of: shape.architecture))
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
  }

  private static func layerParts(of architecture: DecoderShape.Architecture) -> [String] {
    var parts = [
      "attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight",
      "attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias", "ffn_norm.weight",
      "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight",
    ]
    if architecture == .qwen3 { parts += ["attn_q_norm.weight", "attn_k_norm.weight"] }
    return parts
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

  func layer(_ index: Int, _ shape: DecoderShape) throws(ModelError) -> DecoderLayer {
    let prefix = "blk.\(index)."
    let queries = shape.queryHeads * shape.keyWidth
    let keys = shape.kvHeads * shape.keyWidth
    let values = shape.kvHeads * shape.valueWidth
    let attended = shape.queryHeads * shape.valueWidth
    let hasHeadNorms = shape.architecture == .qwen3
    return DecoderLayer(
      attentionNorm: try vector(prefix + "attn_norm.weight", count: shape.width),
      query: try matrix(prefix + "attn_q.weight", inputs: shape.width, outputs: queries),
      key: try matrix(prefix + "attn_k.weight", inputs: shape.width, outputs: keys),
      value: try matrix(prefix + "attn_v.weight", inputs: shape.width, outputs: values),
      attentionOutput: try matrix(
        prefix + "attn_output.weight", inputs: attended, outputs: shape.width),
      queryBias: try optionalVector(prefix + "attn_q.bias", count: queries),
      keyBias: try optionalVector(prefix + "attn_k.bias", count: keys),
      valueBias: try optionalVector(prefix + "attn_v.bias", count: values),
      attentionOutputBias: try optionalVector(prefix + "attn_output.bias", count: shape.width),
      queryNorm: hasHeadNorms
        ? try vector(prefix + "attn_q_norm.weight", count: shape.keyWidth) : nil,
      keyNorm: hasHeadNorms
        ? try vector(prefix + "attn_k_norm.weight", count: shape.keyWidth) : nil,
      feedForwardNorm: try vector(prefix + "ffn_norm.weight", count: shape.width),
      gate: try matrix(
        prefix + "ffn_gate.weight", inputs: shape.width, outputs: shape.feedForwardWidth),
      up: try matrix(
        prefix + "ffn_up.weight", inputs: shape.width, outputs: shape.feedForwardWidth),
      down: try matrix(
        prefix + "ffn_down.weight", inputs: shape.feedForwardWidth, outputs: shape.width))
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

  private func optionalVector(_ name: String, count: Int) throws(ModelError) -> [Float]? {
    file[name] == nil ? nil : try vector(name, count: count)
  }

  /// Widens a tensor's rows and packs them.
  func matrix(_ name: String, inputs: Int, outputs: Int) throws(ModelError) -> PackedMatrix {
    let tensor = try tensor(name)
    do throws(ModelFileError) { try tensor.expect(shape: [inputs, outputs]) } catch {
      throw .file(error)
    }
    let panelFloats = PackedMatrix.panelWidth * inputs
    do throws(MemoryError) {
      let matrix = try PackedMatrix(
        inputWidth: inputs, outputWidth: outputs, type: type, in: memory)
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
            try? tensor.dequantizeRows(rows, into: &weights)
            matrix.pack(
              panel: first + panel, weights: weights.span.extracting(0..<rows.count * inputs),
              for: instructionSet)
          }
        }
      }
      return matrix
    } catch {
      throw .outOfMemory(byteCount: outputs * inputs * type.bytes)
    }
  }
}
