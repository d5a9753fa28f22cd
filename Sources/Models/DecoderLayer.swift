import StreamingAttention

/// The weights of one block.
struct DecoderLayer: Sendable {
  var attentionNorm: [Float]
  var query: PackedMatrix
  var key: PackedMatrix
  var value: PackedMatrix
  var attentionOutput: PackedMatrix
  /// Biases where the model has them, by output channel.
  var queryBias: [Float]?
  var keyBias: [Float]?
  var valueBias: [Float]?
  var attentionOutputBias: [Float]?
  /// Norms of each query and key head (Qwen3).
  var queryNorm: [Float]?
  var keyNorm: [Float]?
  var feedForwardNorm: [Float]
  var gate: PackedMatrix
  var up: PackedMatrix
  var down: PackedMatrix

  var matrices: [PackedMatrix] { [query, key, value, attentionOutput, gate, up, down] }
}
