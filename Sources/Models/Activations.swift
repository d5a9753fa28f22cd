import ModelFiles
import StreamingAttention

/// The activations of a step, `[row][channel]`; they keep their memory from step to step.
struct Activations {
  /// The residual stream.
  private(set) var hidden: [Float] = []
  private var normed: [Float] = []
  private var queries: [Float] = []
  private var keys: [Float] = []
  private var values: [Float] = []
  private var attended: [Float] = []
  private var gated: [Float] = []
  private var up: [Float] = []
  /// A row on its way from the embedding, or rows on their way to logits.
  private var selected: [Float] = []

  /// What a step is computed with.
  struct Context {
    let model: DecoderModel
    let engine: AttentionEngine
    let dense: DenseKernels
    let cancellation: CancellationFlag?
  }

  /// The step in progress, from embeddings to the last block's output.
  mutating func run(_ inputs: [DecoderInput], in context: Context) throws(ModelError) {
    let shape = context.model.shape
    let rows = inputs.reduce(0) { $0 + $1.tokens.count }
    Self.resize(&hidden, to: rows * shape.width)
    Self.resize(&normed, to: rows * shape.width)
    Self.resize(&queries, to: rows * shape.queryHeads * shape.keyWidth)
    Self.resize(&keys, to: rows * shape.kvHeads * shape.keyWidth)
    Self.resize(&values, to: rows * shape.kvHeads * shape.valueWidth)
    Self.resize(&attended, to: rows * shape.queryHeads * shape.valueWidth)
    Self.resize(&gated, to: rows * shape.feedForwardWidth)
    Self.resize(&up, to: rows * shape.feedForwardWidth)
    try embed(inputs, context.model)
    for index in 0..<shape.layers {
      try attend(index, in: context)
      try feedForward(index, in: context)
    }
  }

  /// Logits of some rows of the last step, `[row][vocabularySize]`.
  mutating func logits(
    ofRows rows: Range<Int>, into logits: inout [Float], in context: Context
  ) throws(ModelError) {
    let model = context.model
    let width = model.shape.width
    Self.resize(&selected, to: rows.count * width)
    Self.resize(&logits, to: rows.count * model.vocabularySize)
    for index in 0..<rows.count * width {
      selected[index] = hidden[rows.lowerBound * width + index]
    }
    Self.normalize(&selected, by: model.outputNorm, in: context)
    try Self.multiply(selected, by: model.output, into: &logits, in: context)
  }

  private mutating func embed(
    _ inputs: [DecoderInput], _ model: DecoderModel
  ) throws(ModelError) {
    let width = model.shape.width
    Self.resize(&selected, to: width)
    var first = 0
    for input in inputs {
      for token in input.tokens {
        do throws(ModelFileError) {
          var row = selected.mutableSpan
          try model.embedding.dequantizeRows(token..<token + 1, into: &row)
        } catch {
          throw .file(error)
        }
        for channel in 0..<width { hidden[first + channel] = selected[channel] }
        first += width
      }
    }
  }

  /// hidden += attention(normalised hidden).
  private mutating func attend(_ index: Int, in context: Context) throws(ModelError) {
    let layer = context.model.layers[index]
    normalizeHidden(by: layer.attentionNorm, in: context)
    try Self.project(normed, layer.query, layer.queryBias, &queries, in: context)
    try Self.project(normed, layer.key, layer.keyBias, &keys, in: context)
    try Self.project(normed, layer.value, layer.valueBias, &values, in: context)
    if let norm = layer.queryNorm { Self.normalize(&queries, by: norm, in: context) }
    if let norm = layer.keyNorm { Self.normalize(&keys, by: norm, in: context) }
    do throws(AttentionError) {
      try context.engine.append(layer: index, keys: keys.span, values: values.span)
    } catch {
      throw ModelError(error)
    }
    try Self.attend(queries, layer: index, into: &attended, in: context)
    if let bias = layer.attentionOutputBias {
      for index in hidden.indices { hidden[index] += bias[index % bias.count] }
    }
    try Self.multiply(
      attended, by: layer.attentionOutput, into: &hidden, accumulating: true, in: context)
  }

  /// hidden += down(silu(gate) · up), of the normalised hidden rows.
  private mutating func feedForward(_ index: Int, in context: Context) throws(ModelError) {
    let layer = context.model.layers[index]
    normalizeHidden(by: layer.feedForwardNorm, in: context)
    try Self.multiply(normed, by: layer.gate, into: &gated, in: context)
    try Self.multiply(normed, by: layer.up, into: &up, in: context)
    Self.gate(&gated, by: up, in: context)
    try Self.multiply(gated, by: layer.down, into: &hidden, accumulating: true, in: context)
  }

  private mutating func normalizeHidden(by weight: [Float], in context: Context) {
    for index in hidden.indices { normed[index] = hidden[index] }
    Self.normalize(&normed, by: weight, in: context)
  }

  private static func attend(
    _ queries: [Float], layer: Int, into output: inout [Float], in context: Context
  ) throws(ModelError) {
    do throws(AttentionError) {
      var span = output.mutableSpan
      try context.engine.attend(
        layer: layer, queries: queries.span, into: &span, cancellation: context.cancellation)
    } catch {
      throw ModelError(error)
    }
  }

  private static func gate(_ gates: inout [Float], by up: [Float], in context: Context) {
    var span = gates.mutableSpan
    context.dense.gate(&span, by: up.span)
  }

  private static func normalize(_ rows: inout [Float], by weight: [Float], in context: Context) {
    var span = rows.mutableSpan
    context.dense.normalize(&span, weight: weight.span, epsilon: context.model.shape.epsilon)
  }

  /// output ← rows · matrixᵀ + bias.
  private static func project(
    _ rows: [Float], _ matrix: PackedMatrix, _ bias: [Float]?, _ output: inout [Float],
    in context: Context
  ) throws(ModelError) {
    if let bias {
      for index in output.indices { output[index] = bias[index % bias.count] }
    }
    try multiply(rows, by: matrix, into: &output, accumulating: bias != nil, in: context)
  }

  private static func multiply(
    _ rows: [Float], by matrix: PackedMatrix, into output: inout [Float],
    accumulating: Bool = false, in context: Context
  ) throws(ModelError) {
    do throws(AttentionError) {
      var span = output.mutableSpan
      try context.dense.multiply(
        rows.span, by: matrix, into: &span, accumulating: accumulating,
        cancellation: context.cancellation)
    } catch {
      throw ModelError(error)
    }
  }

  private static func resize(_ array: inout [Float], to count: Int) {
    if array.count > count {
      array.removeLast(array.count - count)
    } else if array.count < count {
      array.append(contentsOf: repeatElement(0, count: count - array.count))
    }
  }
}
