import StreamingAttention

/// The weights of one block.
struct DecoderLayer: Sendable {
  var attentionNorm: Norm
  var query: PackedMatrix
  var key: PackedMatrix
  var value: PackedMatrix
  var attentionOutput: PackedMatrix
  /// Biases where the model has them, by output channel.
  var queryBias: [Float]?
  var keyBias: [Float]?
  var valueBias: [Float]?
  var attentionOutputBias: [Float]?
  /// Norms of queries and keys: of each head (Qwen3), or of all heads together (MPT), as many channels as they have weights.
  var queryNorm: Norm?
  var keyNorm: Norm?
  var feedForwardNorm: Norm
  var activation: Activation
  var up: PackedMatrix
  var upBias: [Float]?
  var down: PackedMatrix
  var downBias: [Float]?

  /// What stands between the two products of the feed-forward layer.
  enum Activation: Sendable {
    /// silu(gate · x) · (up · x), without biases.
    case gated(by: PackedMatrix)
    /// gelu(up · x).
    case gelu(GELU)
  }

  var matrices: [PackedMatrix] {
    var matrices = [query, key, value, attentionOutput, up, down]
    if case .gated(let gate) = activation { matrices.append(gate) }
    return matrices
  }
}

/// The weights of a normalisation.
struct Norm: Sendable {
  var weight: [Float]
  /// Empty for none.
  var bias: [Float]
}
