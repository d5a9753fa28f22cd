import ModelFiles
import StreamingAttention

/// The activations of a step, `[row][channel]`; they keep their memory from step to step.
struct Activations {
  /// The residual stream.
  private(set) var hidden: [Float] = []
  /// What attention read in all layers of the last step.
  private(set) var report = AttentionReport()
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
    report = AttentionReport()
    try embed(inputs, in: context)
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
    _ inputs: [DecoderInput], in context: Context
  ) throws(ModelError) {
    let model = context.model
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
    if let norm = model.embeddingNorm { Self.normalize(&hidden, by: norm, in: context) }
  }

  /// hidden += attention(normalised hidden).
  private mutating func attend(_ index: Int, in context: Context) throws(ModelError) {
    let layer = context.model.layers[index]
    normalizeHidden(by: layer.attentionNorm, in: context)
    try Self.project(normed, layer.query, layer.queryBias, &queries, in: context)
    try Self.project(normed, layer.key, layer.keyBias, &keys, in: context)
    try Self.project(normed, layer.value, layer.valueBias, &values, in: context)
    if let limit = context.model.shape.clamp {
      Self.clamp(&queries, to: limit)
      Self.clamp(&keys, to: limit)
      Self.clamp(&values, to: limit)
    }
    if let norm = layer.queryNorm { Self.normalize(&queries, by: norm, in: context) }
    if let norm = layer.keyNorm { Self.normalize(&keys, by: norm, in: context) }
    do throws(AttentionError) {
      try context.engine.append(layer: index, keys: keys.span, values: values.span)
    } catch {
      throw ModelError(error)
    }
    report.add(try Self.attend(queries, layer: index, into: &attended, in: context))
    addToHidden(layer.attentionOutputBias)
    try Self.multiply(
      attended, by: layer.attentionOutput, into: &hidden, accumulating: true, in: context)
  }

  /// hidden += down(activation(up)), of the normalised hidden rows.
  private mutating func feedForward(_ index: Int, in context: Context) throws(ModelError) {
    let layer = context.model.layers[index]
    normalizeHidden(by: layer.feedForwardNorm, in: context)
    try Self.project(normed, layer.up, layer.upBias, &up, in: context)
    addToHidden(layer.downBias)
    switch layer.activation {
    case .gated(let gate):
      try Self.multiply(normed, by: gate, into: &gated, in: context)
      Self.gate(&gated, by: up, in: context)
      try Self.multiply(gated, by: layer.down, into: &hidden, accumulating: true, in: context)
    case .gelu(let form):
      Self.gelu(&up, form, in: context)
      try Self.multiply(up, by: layer.down, into: &hidden, accumulating: true, in: context)
    }
  }

  private mutating func normalizeHidden(by norm: Norm, in context: Context) {
    for index in hidden.indices { normed[index] = hidden[index] }
    Self.normalize(&normed, by: norm, in: context)
  }

  private mutating func addToHidden(_ bias: [Float]?) {
    guard let bias else { return }
    for index in hidden.indices { hidden[index] += bias[index % bias.count] }
  }

  private static func attend(
    _ queries: [Float], layer: Int, into output: inout [Float], in context: Context
  ) throws(ModelError) -> AttentionReport {
    do throws(AttentionError) {
      var span = output.mutableSpan
      return try context.engine.attend(
        layer: layer, queries: queries.span, into: &span, cancellation: context.cancellation)
    } catch {
      throw ModelError(error)
    }
  }

  private static func gate(_ gates: inout [Float], by up: [Float], in context: Context) {
    var span = gates.mutableSpan
    context.dense.gate(&span, by: up.span)
  }

  private static func gelu(_ numbers: inout [Float], _ form: GELU, in context: Context) {
    var span = numbers.mutableSpan
    context.dense.gelu(&span, form: form)
  }

  /// Brings every number into −limit…limit; NaN stays NaN.
  private static func clamp(_ numbers: inout [Float], to limit: Float) {
    for index in numbers.indices { numbers[index] = min(max(numbers[index], -limit), limit) }
  }

  /// Normalises pieces of as many channels as the norm has weights.
  private static func normalize(_ rows: inout [Float], by norm: Norm, in context: Context) {
    let epsilon = context.model.shape.epsilon
    var span = rows.mutableSpan
    switch context.model.shape.normalization {
    case .rootMeanSquare:
      context.dense.normalize(&span, weight: norm.weight.span, epsilon: epsilon)
    case .layer:
      context.dense.standardize(
        &span, weight: norm.weight.span, bias: norm.bias.span, epsilon: epsilon)
    }
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
