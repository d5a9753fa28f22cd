import StreamingAttention

/// `bloom`: ALiBi with the paper's slopes, a normalised embedding, biases everywhere.
///
/// Le Scao et al. 2022, arXiv:2211.05100, §3.2. Files store the rows of q, k and v one after the other; the converter
/// has undone the checkpoints' interleaving by heads.
enum BloomFamily: ArchitectureFamily {
  static func shape(
    of architecture: Architecture, _ keys: DecoderMetadata, scaling override: RotaryScaling?
  ) throws(ModelError) -> DecoderShape {
    try keys.refuseScaling(override)
    let sizes = try keys.sizes()
    return DecoderShape(
      architecture: architecture, sizes: sizes, normalization: .layer,
      epsilon: try keys.epsilon("attention.layer_norm_epsilon"),
      trainedContext: try keys.size("context_length"),
      positions: .alibi(try keys.alibi(headCount: sizes.queryHeads, maximumBias: 8)),
      normalizesEmbedding: true)
  }

  static func tensorNames(of architecture: Architecture) -> TensorNames {
    TensorNames(
      required: [
        "token_embd.weight", "token_embd_norm.weight", "token_embd_norm.bias", "output_norm.weight",
        "output_norm.bias",
      ],
      optional: ["output.weight"],
      requiredInLayer: FusedBlock.weights + FusedBlock.biases, optionalInLayer: [])
  }

  static func layer(
    _ index: Int, of shape: DecoderShape, from loader: WeightLoader
  ) throws(ModelError) -> DecoderLayer {
    try FusedBlock.layer(index, of: shape, activation: .gelu(.tanh), from: loader)
  }
}
