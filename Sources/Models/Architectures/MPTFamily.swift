import ModelFiles
import StreamingAttention

/// `mpt`: ALiBi with a stated largest bias, clamped queries, keys and values where the file says so, biases where it has them.
enum MPTFamily: ArchitectureFamily {
  static func shape(
    of architecture: Architecture, _ keys: DecoderMetadata, scaling override: RotaryScaling?
  ) throws(ModelError) -> DecoderShape {
    try keys.refuseScaling(override)
    let sizes = try keys.sizes()
    return DecoderShape(
      architecture: architecture, sizes: sizes, normalization: .layer,
      epsilon: try keys.epsilon("attention.layer_norm_epsilon"),
      trainedContext: try keys.size("context_length"),
      positions: .alibi(
        try keys.alibi(headCount: sizes.queryHeads, maximumBias: maximumBias(keys))),
      clamp: try keys.clamp("attention.clamp_kqv"))
  }

  /// β of the slopes; 0 stands for the variant that learns a vector for every position.
  private static func maximumBias(_ keys: DecoderMetadata) throws(ModelError) -> Double {
    let key = "attention.max_alibi_bias"
    guard let bias = try keys.double(key) else {
      throw .file(.missingKey(path: keys.file.path, key: keys.prefix + key))
    }
    guard bias != 0 else {
      throw .unsupported(
        path: keys.file.path, item: "metadata key \(keys.prefix)\(key)", found: "0 (no ALiBi)",
        allowed: "a bias above 0; learned positions are not")
    }
    guard bias.isFinite, bias > 0 else { throw keys.invalid(key, "\(bias)", "above 0") }
    return bias
  }

  static func tensorNames(of architecture: Architecture) -> TensorNames {
    TensorNames(
      required: ["token_embd.weight", "output_norm.weight"],
      optional: ["output_norm.bias", "output.weight"],
      requiredInLayer: FusedBlock.weights,
      optionalInLayer: FusedBlock.biases + FusedBlock.headNorms)
  }

  static func layer(
    _ index: Int, of shape: DecoderShape, from loader: WeightLoader
  ) throws(ModelError) -> DecoderLayer {
    try FusedBlock.layer(index, of: shape, activation: .gelu(.exact), from: loader)
  }
}
