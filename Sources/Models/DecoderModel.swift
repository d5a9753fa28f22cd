public import ModelFiles
public import StreamingAttention

/// A decoder with its weights, packed for the tile kernels.
///
/// Immutable, so any number of decoders may share it.
public final class DecoderModel: Sendable {
  /// Sizes and settings.
  public let shape: DecoderShape
  /// How weight matrices are held.
  public let weightType: WeightType
  /// What the matrices were packed for.
  public let instructionSet: InstructionSet
  /// Rows of the embedding: ids lie in `0..<vocabularySize`.
  public let vocabularySize: Int
  /// Tells the model's weights from those of others.
  package let fingerprint: UInt64

  /// How queries and keys are turned from the token on at which a decoder extends the context; nil if it never does.
  public let extendedRotary: RotaryEmbedding?

  let embedding: GGUFTensor
  let layers: [DecoderLayer]
  /// Of the embedding's rows, where the model normalises them.
  let embeddingNorm: Norm?
  let outputNorm: Norm
  let output: PackedMatrix

  /// Loads a model: checks all shapes, then packs every matrix.
  ///
  /// - Parameters:
  ///   - file: The model; the embedding's rows are read from it later.
  ///   - weightType: How matrices are held; the default reads the least memory, and keeps perplexity within half a percent.
  ///   - scaling: A rotary scaling in place of the file's; nil to keep it.
  ///   - extension: A rotary scaling that a decoder changes to in mid-stream; nil for none.
  ///   - workers: Who packs.
  ///   - instructionSet: Whose kernels will multiply.
  /// - Throws: ``ModelError``.
  /// - Precondition: this CPU runs the instruction set (`InstructionSet.isAvailable`).
  public init(
    file: GGUFFile, weightType: WeightType = .file, scaling: RotaryScaling? = nil,
    extension: RotaryScaling? = nil, workers: Workers, instructionSet: InstructionSet = .detected
  ) throws(ModelError) {
    shape = try DecoderShape(of: file, scaling: scaling)
    extendedRotary =
      if let `extension` { try DecoderShape(of: file, scaling: `extension`).rotary } else { nil }
    self.weightType = weightType
    self.instructionSet = instructionSet
    fingerprint = ModelFingerprint.of(file)
    let loader = WeightLoader(
      file: file, type: weightType, workers: workers, instructionSet: instructionSet)
    try loader.checkNames(shape)
    embedding = try loader.embedding(width: shape.width)
    vocabularySize = embedding.rowCount
    var layers: [DecoderLayer] = []
    for index in 0..<shape.layers {
      layers.append(try shape.architecture.family.layer(index, of: shape, from: loader))
    }
    self.layers = layers
    embeddingNorm =
      shape.normalizesEmbedding ? try loader.norm("token_embd_norm", count: shape.width) : nil
    outputNorm = try loader.norm("output_norm", count: shape.width)
    // A model without an output matrix uses its embedding.
    output = try loader.matrix(
      file["output.weight"] == nil ? "token_embd.weight" : "output.weight",
      inputs: shape.width, outputs: vocabularySize)
  }

  /// Bytes of all packed matrices.
  public var weightBytes: Int {
    layers.reduce(output.byteCount) { sum, layer in
      sum + layer.matrices.reduce(0) { $0 + $1.byteCount }
    }
  }

  /// What each layer's keys and values look like in a cache.
  public func cacheShapes(keyType: ElementType, valueType: ElementType) -> [LayerShape] {
    let layer = LayerShape(
      kvHeads: shape.kvHeads, keyWidth: shape.keyWidth, valueWidth: shape.valueWidth,
      keyType: keyType, valueType: valueType,
      keyPositions: shape.rotary.map { .rotary(pairs: $0.pairCount, pairing: $0.pairing) } ?? .none,
      retention: shape.window.map { .window($0) } ?? .everything)
    return Array(repeating: layer, count: shape.layers)
  }

  /// How each layer attends, for sequences of at most `context` tokens.
  ///
  /// A scaling that depends on the length is evaluated there, once for the whole sequence. Where the context is extended
  /// in mid-stream, the first scaling is evaluated for the tokens before that, and one that moves with the length follows
  /// it afterwards.
  ///
  /// - Parameters:
  ///   - context: Tokens of a sequence at most.
  ///   - extensionStart: Tokens before the context is extended; nil to keep to the first scaling, as a model without
  ///     ``extendedRotary`` does in any case.
  ///   - alibiEpsilon: The part of a row's softmax that ALiBi heads may leave unread.
  /// - Returns: One description per layer.
  /// - Precondition: `context` and `extensionStart` are not negative.
  public func attention(
    context: Int, extensionStart: Int? = nil,
    alibiEpsilon: Float = LayerAttention.defaultALiBiEpsilon
  ) -> [LayerAttention] {
    let extensionStart = extendedRotary == nil ? nil : extensionStart
    var layer = LayerAttention(
      queryHeads: shape.queryHeads, window: shape.window,
      rotary: shape.rotary?.resolved(forLength: extensionStart ?? context), alibi: shape.alibi,
      alibiEpsilon: alibiEpsilon)
    if let extendedRotary, extensionStart != nil {
      layer.laterRotary = [extendedRotary.resolved(forLength: context)]
    }
    return Array(repeating: layer, count: shape.layers)
  }
}
