import ModelFiles
import StreamingAttention

/// `llama` (also Mistral's), `qwen2` and `qwen3`: grouped attention with rotary positions, root-mean-square norms and a
/// gated feed-forward layer.
enum LlamaFamily: ArchitectureFamily {
  static func shape(
    of architecture: Architecture, _ keys: DecoderMetadata, scaling override: RotaryScaling?
  ) throws(ModelError) -> DecoderShape {
    let sizes = try keys.sizes()
    let epsilon = try keys.epsilon("attention.layer_norm_rms_epsilon")
    let window = architecture == .llama ? try keys.window("attention.sliding_window") : nil
    let trainedContext = try keys.size("context_length")
    if let experts = try keys.integer("expert_count"), experts > 0 {
      throw .unsupported(
        path: keys.file.path, item: "expert_count", found: "\(experts)", allowed: "dense models")
    }
    let rotary = try keys.rotary(
      headDimension: sizes.keyWidth, pairing: architecture == .llama ? .interleaved : .halves,
      scaling: override)
    return DecoderShape(
      architecture: architecture, sizes: sizes, normalization: .rootMeanSquare, epsilon: epsilon,
      window: window, trainedContext: trainedContext, positions: .rotary(rotary))
  }

  static func tensorNames(of architecture: Architecture) -> TensorNames {
    TensorNames(
      required: ["token_embd.weight", "output_norm.weight"],
      optional: ["output.weight", "rope_freqs.weight"],
      requiredInLayer: [
        "attn_norm.weight", "attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight",
        "ffn_norm.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight",
      ] + (architecture == .qwen3 ? ["attn_q_norm.weight", "attn_k_norm.weight"] : []),
      optionalInLayer: ["attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias"])
  }

  static func layer(
    _ index: Int, of shape: DecoderShape, from loader: WeightLoader
  ) throws(ModelError) -> DecoderLayer {
    let prefix = "blk.\(index)."
    let (width, feedForwardWidth) = (shape.width, shape.feedForwardWidth)
    let queries = shape.queryHeads * shape.keyWidth
    let keys = shape.kvHeads * shape.keyWidth
    let values = shape.kvHeads * shape.valueWidth
    let attended = shape.queryHeads * shape.valueWidth
    return DecoderLayer(
      attentionNorm: try loader.norm(prefix + "attn_norm", count: width),
      query: try loader.matrix(prefix + "attn_q.weight", inputs: width, outputs: queries),
      key: try loader.matrix(prefix + "attn_k.weight", inputs: width, outputs: keys),
      value: try loader.matrix(prefix + "attn_v.weight", inputs: width, outputs: values),
      attentionOutput: try loader.matrix(
        prefix + "attn_output.weight", inputs: attended, outputs: width),
      queryBias: try loader.optionalVector(prefix + "attn_q.bias", count: queries),
      keyBias: try loader.optionalVector(prefix + "attn_k.bias", count: keys),
      valueBias: try loader.optionalVector(prefix + "attn_v.bias", count: values),
      attentionOutputBias: try loader.optionalVector(prefix + "attn_output.bias", count: width),
      queryNorm: try loader.optionalNorm(prefix + "attn_q_norm", count: shape.keyWidth),
      keyNorm: try loader.optionalNorm(prefix + "attn_k_norm", count: shape.keyWidth),
      feedForwardNorm: try loader.norm(prefix + "ffn_norm", count: width),
      activation: .gated(
        by: try loader.matrix(
          prefix + "ffn_gate.weight", inputs: width, outputs: feedForwardWidth)),
      up: try loader.matrix(prefix + "ffn_up.weight", inputs: width, outputs: feedForwardWidth),
      down: try loader.matrix(
        prefix + "ffn_down.weight", inputs: feedForwardWidth, outputs: width))
  }
}
