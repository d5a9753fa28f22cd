public import ModelFiles
public import StreamingAttention

/// The sizes and settings of a decoder, as its file states them and its architecture implies them.
public struct DecoderShape: Sendable, Equatable {
  /// What the file says it is.
  public let architecture: Architecture
  /// Blocks.
  public let layers: Int
  /// Channels of the residual stream.
  public let width: Int
  /// Channels of the feed-forward layer.
  public let feedForwardWidth: Int
  /// Query heads of a layer.
  public let queryHeads: Int
  /// KV heads of a layer.
  public let kvHeads: Int
  /// Channels of a query or key head.
  public let keyWidth: Int
  /// Channels of a value head.
  public let valueWidth: Int
  /// The kind of all normalisations.
  public let normalization: Normalization
  /// ε of all normalisations.
  public let epsilon: Float
  /// A key is seen from at most this many tokens away; nil for no window.
  public let window: Int?
  /// Tokens that the model was trained for.
  public let trainedContext: Int
  /// How the model knows where its tokens are.
  public let positions: Positions
  /// The largest magnitude of queries, keys and values; nil for any.
  public let clamp: Float?
  /// Whether the embedding is normalised.
  public let normalizesEmbedding: Bool

  /// How a row is normalised.
  public enum Normalization: Sendable, Equatable {
    /// x / √(mean x² + ε) (Zhang & Sennrich 2019, arXiv:1910.07467).
    case rootMeanSquare
    /// (x − mean x) / √(variance x + ε) (Ba, Kiros & Hinton 2016, arXiv:1607.06450).
    case layer
  }

  /// How attention takes positions into account.
  public enum Positions: Sendable, Equatable {
    /// Queries and keys are turned.
    case rotary(RotaryEmbedding)
    /// Scores fall with the distance.
    case alibi(ALiBi)
  }

  init(
    architecture: Architecture, sizes: DecoderSizes, normalization: Normalization, epsilon: Float,
    window: Int? = nil, trainedContext: Int, positions: Positions, clamp: Float? = nil,
    normalizesEmbedding: Bool = false
  ) {
    self.architecture = architecture
    layers = sizes.layers
    width = sizes.width
    feedForwardWidth = sizes.feedForwardWidth
    queryHeads = sizes.queryHeads
    kvHeads = sizes.kvHeads
    keyWidth = sizes.keyWidth
    valueWidth = sizes.valueWidth
    self.normalization = normalization
    self.epsilon = epsilon
    self.window = window
    self.trainedContext = trainedContext
    self.positions = positions
    self.clamp = clamp
    self.normalizesEmbedding = normalizesEmbedding
  }

  /// Reads and checks what the file says.
  ///
  /// - Parameters:
  ///   - file: The model.
  ///   - override: A rotary scaling in place of the file's; nil to keep it.
  /// - Throws: ``ModelError``.
  public init(of file: GGUFFile, scaling override: RotaryScaling? = nil) throws(ModelError) {
    let metadata = DecoderMetadata(file: file)
    let name = try metadata.string("general.architecture")
    guard let architecture = Architecture(rawValue: name) else {
      throw .unsupported(
        path: file.path, item: "architecture", found: name,
        allowed: Architecture.allCases.map(\.rawValue).joined(separator: ", "))
    }
    self = try architecture.family.shape(
      of: architecture, metadata.prefixed(name), scaling: override)
  }

  /// How queries and keys are turned, as the file says; nil where they are not.
  public var rotary: RotaryEmbedding? {
    if case .rotary(let rotary) = positions { rotary } else { nil }
  }

  /// The linear biases; nil where there are none.
  public var alibi: ALiBi? {
    if case .alibi(let alibi) = positions { alibi } else { nil }
  }
}
