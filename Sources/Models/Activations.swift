import ModelFiles
import StreamingAttention

/// The activations of a step, `[row][channel]`; they keep their memory from step to step.
struct Activations {
  /// The residual stream.
  private(set) var hidden: [Float] = []
  /// What attention read in all layers of the last step.
  private(set) var report = AttentionReport()
  private var queries: [Float] = []
  private var keys: [Float] = []
  private var values: [Float] = []
  private var attended: [Float] = []
  /// Between the products of a feed-forward layer without gates.
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
    Self.resize(&queries, to: rows * shape.queryHeads * shape.keyWidth)
    Self.resize(&keys, to: rows * shape.kvHeads * shape.keyWidth)
    Self.resize(&values, to: rows * shape.kvHeads * shape.valueWidth)
    Self.resize(&attended, to: rows * shape.queryHeads * shape.valueWidth)
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
    try Self.load(
      selected, normalizedBy: model.outputNorm, as: model.output.rowForm, in: context)
    try Self.multiply(by: model.output, into: &logits, in: context)
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
    try Self.load(
      hidden, normalizedBy: layer.attentionNorm,
      as: layer.query.rowForm.union(layer.key.rowForm).union(layer.value.rowForm), in: context)
    try Self.project(layer, &queries, &keys, &values, in: context)
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
    try Self.load(
      attended, width: layer.attentionOutput.inputWidth, as: layer.attentionOutput.rowForm,
      in: context)
    try Self.multiply(by: layer.attentionOutput, into: &hidden, accumulating: true, in: context)
  }

  /// hidden += down(activation(up)), of the normalised hidden rows.
  private mutating func feedForward(_ index: Int, in context: Context) throws(ModelError) {
    let layer = context.model.layers[index]
    switch layer.activation {
    case .gated(let gate):
      try Self.load(
        hidden, normalizedBy: layer.feedForwardNorm, as: gate.rowForm.union(layer.up.rowForm),
        in: context)
      try Self.gate(gate, layer.up, for: layer.down, in: context)
    case .gelu(let form):
      Self.resize(&up, to: hidden.count / layer.up.inputWidth * layer.up.outputWidth)
      try Self.load(
        hidden, normalizedBy: layer.feedForwardNorm, as: layer.up.rowForm, in: context)
      if let bias = layer.upBias { Self.fill(&up, with: bias) }
      try Self.multiply(
        by: layer.up, into: &up, accumulating: layer.upBias != nil, in: context)
      Self.gelu(&up, form, in: context)
      try Self.load(up, width: layer.up.outputWidth, as: layer.down.rowForm, in: context)
    }
    addToHidden(layer.downBias)
    try Self.multiply(by: layer.down, into: &hidden, accumulating: true, in: context)
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

  /// Puts silu(gate · x) · (up · x) in the place of the loaded rows x.
  private static func gate(
    _ gate: PackedMatrix, _ up: PackedMatrix, for down: PackedMatrix, in context: Context
  ) throws(ModelError) {
    do throws(AttentionError) {
      try context.dense.loadGated(
        gate: gate, up: up, as: down.rowForm, cancellation: context.cancellation)
    } catch {
      throw ModelError(error)
    }
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

  /// Takes in the normalised rows of the next products.
  private static func load(
    _ rows: [Float], normalizedBy norm: Norm, as forms: RowForms, in context: Context
  ) throws(ModelError) {
    let shape = context.model.shape
    let normalization = RowNormalization(
      shape.normalization == .layer ? .layer : .rootMeanSquare, weight: norm.weight,
      bias: norm.bias, epsilon: shape.epsilon)
    do throws(AttentionError) {
      try context.dense.load(
        rows.span, width: norm.weight.count, as: forms, normalizedBy: normalization)
    } catch {
      throw ModelError(error)
    }
  }

  /// Takes in the rows of the next products as they are.
  private static func load(
    _ rows: [Float], width: Int, as forms: RowForms, in context: Context
  ) throws(ModelError) {
    do throws(AttentionError) {
      try context.dense.load(rows.span, width: width, as: forms)
    } catch {
      throw ModelError(error)
    }
  }

  /// Queries, keys and values ← loaded rows · matricesᵀ + biases.
  private static func project(
    _ layer: DecoderLayer, _ queries: inout [Float], _ keys: inout [Float],
    _ values: inout [Float], in context: Context
  ) throws(ModelError) {
    let hasBias = layer.queryBias != nil || layer.keyBias != nil || layer.valueBias != nil
    if hasBias {
      fill(&queries, with: layer.queryBias ?? [0])
      fill(&keys, with: layer.keyBias ?? [0])
      fill(&values, with: layer.valueBias ?? [0])
    }
    do throws(AttentionError) {
      var queries = queries.mutableSpan
      var keys = keys.mutableSpan
      var values = values.mutableSpan
      try context.dense.multiply(
        by: layer.query, into: &queries, by: layer.key, into: &keys, by: layer.value, into: &values,
        accumulating: hasBias, cancellation: context.cancellation)
    } catch {
      throw ModelError(error)
    }
  }

  /// output ← loaded rows · matrixᵀ, or output +=.
  private static func multiply(
    by matrix: PackedMatrix, into output: inout [Float], accumulating: Bool = false,
    in context: Context
  ) throws(ModelError) {
    do throws(AttentionError) {
      var span = output.mutableSpan
      try context.dense.multiply(
        by: matrix, into: &span, accumulating: accumulating, cancellation: context.cancellation)
    } catch {
      throw ModelError(error)
    }
  }

  private static func fill(_ rows: inout [Float], with bias: [Float]) {
    for index in rows.indices { rows[index] = bias[index % bias.count] }
  }

  private static func resize(_ array: inout [Float], to count: Int) {
    if array.count > count {
      array.removeLast(array.count - count)
    } else if array.count < count {
      array.append(contentsOf: repeatElement(0, count: count - array.count))
    }
  }
}
