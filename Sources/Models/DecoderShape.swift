public import ModelFiles
public import StreamingAttention

/// The sizes and settings of a decoder of the Llama family, as its file states them.
///
/// The `llama` architecture (also Mistral's), `qwen2` and `qwen3`: pre-normalised blocks of grouped attention with
/// rotary positions and a gated feed-forward layer.
public struct DecoderShape: Sendable, Equatable {
  /// `llama`, `qwen2` or `qwen3`.
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
  /// ε of all normalisations.
  public let epsilon: Float
  /// A key is seen from at most this many tokens away; nil for no window.
  public let window: Int?
  /// Tokens that the model was trained for.
  public let trainedContext: Int
  /// How queries and keys are turned, as the file says.
  public let rotary: RotaryEmbedding

  /// The architectures of the family.
  public enum Architecture: String, Sendable, CaseIterable {
    /// Llama, Mistral, SmolLM2 and many more: rows of q and k are stored for interleaved pairs.
    case llama
    /// Qwen2 and Qwen2.5: biases on q, k and v.
    case qwen2
    /// Qwen3: normalised queries and keys.
    case qwen3

    var pairing: RotaryPairing { self == .llama ? .interleaved : .halves }
  }

  /// Reads and checks what the file says.
  ///
  /// - Parameters:
  ///   - file: The model.
  ///   - override: A scaling in place of the file's; nil to keep it.
  /// - Throws: ``ModelError``.
  public init(of file: GGUFFile, scaling override: RotaryScaling? = nil) throws(ModelError) {
    let metadata = DecoderMetadata(file: file)
    let name = try metadata.string("general.architecture")
    guard let architecture = Architecture(rawValue: name) else {
      throw .unsupported(
        path: file.path, item: "architecture", found: name,
        allowed: Architecture.allCases.map(\.rawValue).joined(separator: ", "))
    }
    let keys = metadata.prefixed(architecture.rawValue)
    self.architecture = architecture
    layers = try keys.size("block_count")
    width = try keys.size("embedding_length")
    feedForwardWidth = try keys.size("feed_forward_length")
    queryHeads = try keys.sizeOfAllLayers("attention.head_count", layers: layers)
    kvHeads =
      try keys.optionalSizeOfAllLayers("attention.head_count_kv", layers: layers) ?? queryHeads
    guard queryHeads % kvHeads == 0 else {
      throw keys.invalid(
        "attention.head_count_kv", "\(kvHeads)", "a divisor of head_count, \(queryHeads)")
    }
    let stated = try keys.optionalSize("attention.key_length")
    guard stated != nil || width % queryHeads == 0 else {
      throw keys.invalid(
        "embedding_length", "\(width)", "a multiple of head_count, \(queryHeads), or key_length")
    }
    keyWidth = stated ?? width / queryHeads
    valueWidth = try keys.optionalSize("attention.value_length") ?? keyWidth
    epsilon = try keys.epsilon("attention.layer_norm_rms_epsilon")
    window = architecture == .llama ? try keys.window("attention.sliding_window") : nil
    trainedContext = try keys.size("context_length")
    if let experts = try keys.integer("expert_count"), experts > 0 {
      throw .unsupported(
        path: file.path, item: "expert_count", found: "\(experts)", allowed: "dense models")
    }
    rotary = try keys.rotary(
      headDimension: keyWidth, pairing: architecture.pairing, scaling: override)
  }
}
