import StreamingAttention

/// The architectures that this program runs, by the names that files give them.
public enum Architecture: String, Sendable, CaseIterable {
  /// Llama, Mistral, SmolLM2 and many more: rows of q and k are stored for interleaved pairs.
  case llama
  /// Qwen2 and Qwen2.5: biases on q, k and v.
  case qwen2
  /// Qwen3: normalised queries and keys.
  case qwen3
  /// BLOOM and BLOOMZ: ALiBi, a normalised embedding, biases everywhere.
  case bloom
  /// MPT: ALiBi, layers mostly without biases.
  case mpt

  /// What is known of its files.
  var family: any ArchitectureFamily.Type {
    switch self {
    case .llama, .qwen2, .qwen3: LlamaFamily.self
    case .bloom: BloomFamily.self
    case .mpt: MPTFamily.self
    }
  }
}

/// What one family of architectures has in common: how its files state a shape, and which tensors make a block.
protocol ArchitectureFamily {
  /// Reads and checks sizes and settings.
  ///
  /// - Parameters:
  ///   - architecture: A member of the family.
  ///   - keys: Its keys.
  ///   - override: A scaling in place of the file's; nil to keep it.
  /// - Returns: The shape.
  /// - Throws: ``ModelError`` for what is missing, contradicts itself or is not supported.
  static func shape(
    of architecture: Architecture, _ keys: DecoderMetadata, scaling override: RotaryScaling?
  ) throws(ModelError) -> DecoderShape

  /// The tensors that a file must and may have.
  static func tensorNames(of architecture: Architecture) -> TensorNames

  /// Loads block number `index`; required tensors are there.
  static func layer(
    _ index: Int, of shape: DecoderShape, from loader: WeightLoader
  ) throws(ModelError) -> DecoderLayer
}

/// Names of the tensors that an architecture knows.
struct TensorNames {
  var required: [String]
  var optional: [String]
  /// Of every block, without `blk.N.`.
  var requiredInLayer: [String]
  var optionalInLayer: [String]
}
