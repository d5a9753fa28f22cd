import StreamingAttention

/// The block that BLOOM and MPT have in common: layer norms, one tensor for q, k and v, a feed-forward layer without gate.
enum FusedBlock {
  static let weights = [
    "attn_norm.weight", "attn_qkv.weight", "attn_output.weight", "ffn_norm.weight", "ffn_up.weight",
    "ffn_down.weight",
  ]
  static let biases = [
    "attn_norm.bias", "attn_qkv.bias", "attn_output.bias", "ffn_norm.bias", "ffn_up.bias",
    "ffn_down.bias",
  ]
  /// Norms over all queries and all keys of a token.
  static let headNorms = [
    "attn_q_norm.weight", "attn_q_norm.bias", "attn_k_norm.weight", "attn_k_norm.bias",
  ]

  /// Loads block number `index`; biases and norms of heads where the file has them.
  static func layer(
    _ index: Int, of shape: DecoderShape, activation: DecoderLayer.Activation,
    from loader: WeightLoader
  ) throws(ModelError) -> DecoderLayer {
    let prefix = "blk.\(index)."
    let (width, feedForwardWidth) = (shape.width, shape.feedForwardWidth)
    let attended = shape.queryHeads * shape.valueWidth
    // Rows of the fused tensor: all queries, then all keys, then all values.
    let queries = 0..<shape.queryHeads * shape.keyWidth
    let keys = queries.upperBound..<queries.upperBound + shape.kvHeads * shape.keyWidth
    let values = keys.upperBound..<keys.upperBound + shape.kvHeads * shape.valueWidth
    let rowCount = values.upperBound
    func rows(_ part: Range<Int>) throws(ModelError) -> PackedMatrix {
      try loader.matrix(prefix + "attn_qkv.weight", inputs: width, rows: part, of: rowCount)
    }
    let bias = try loader.optionalVector(prefix + "attn_qkv.bias", count: rowCount)
    return DecoderLayer(
      attentionNorm: try loader.norm(prefix + "attn_norm", count: width),
      query: try rows(queries), key: try rows(keys), value: try rows(values),
      attentionOutput: try loader.matrix(
        prefix + "attn_output.weight", inputs: attended, outputs: width),
      queryBias: bias.map { Array($0[queries]) }, keyBias: bias.map { Array($0[keys]) },
      valueBias: bias.map { Array($0[values]) },
      attentionOutputBias: try loader.optionalVector(prefix + "attn_output.bias", count: width),
      queryNorm: try loader.optionalNorm(prefix + "attn_q_norm", count: queries.count),
      keyNorm: try loader.optionalNorm(prefix + "attn_k_norm", count: keys.count),
      feedForwardNorm: try loader.norm(prefix + "ffn_norm", count: width), activation: activation,
      up: try loader.matrix(prefix + "ffn_up.weight", inputs: width, outputs: feedForwardWidth),
      upBias: try loader.optionalVector(prefix + "ffn_up.bias", count: feedForwardWidth),
      down: try loader.matrix(
        prefix + "ffn_down.weight", inputs: feedForwardWidth, outputs: width),
      downBias: try loader.optionalVector(prefix + "ffn_down.bias", count: width))
  }
}
