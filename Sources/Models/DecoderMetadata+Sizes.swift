import ModelFiles
import StreamingAttention

/// The sizes that every decoder has.
struct DecoderSizes {
  var layers: Int
  var width: Int
  var feedForwardWidth: Int
  var queryHeads: Int
  var kvHeads: Int
  var keyWidth: Int
  var valueWidth: Int
}

extension DecoderMetadata {
  /// Reads the sizes; what is missing takes the value that every reader gives it.
  func sizes() throws(ModelError) -> DecoderSizes {
    let layers = try size("block_count")
    let width = try size("embedding_length")
    let feedForwardWidth = try size("feed_forward_length")
    let queryHeads = try sizeOfAllLayers("attention.head_count", layers: layers)
    let kvHeads =
      try optionalSizeOfAllLayers("attention.head_count_kv", layers: layers) ?? queryHeads
    guard queryHeads % kvHeads == 0 else {
      throw invalid(
        "attention.head_count_kv", "\(kvHeads)", "a divisor of head_count, \(queryHeads)")
    }
    let stated = try optionalSize("attention.key_length")
    guard stated != nil || width % queryHeads == 0 else {
      throw invalid(
        "embedding_length", "\(width)", "a multiple of head_count, \(queryHeads), or key_length")
    }
    let keyWidth = stated ?? width / queryHeads
    return DecoderSizes(
      layers: layers, width: width, feedForwardWidth: feedForwardWidth, queryHeads: queryHeads,
      kvHeads: kvHeads, keyWidth: keyWidth,
      valueWidth: try optionalSize("attention.value_length") ?? keyWidth)
  }

  /// Linear biases with the paper's slopes.
  func alibi(headCount: Int, maximumBias: Double) throws(ModelError) -> ALiBi {
    do throws(PositionError) {
      return try ALiBi(headCount: headCount, maximumBias: maximumBias)
    } catch {
      throw .positions(error)
    }
  }

  /// The largest magnitude of queries, keys and values; 0 stands for none.
  func clamp(_ key: String) throws(ModelError) -> Float? {
    guard let value = try double(key), value != 0 else { return nil }
    guard value.isFinite, value > 0 else { throw invalid(key, "\(value)", "0 (none) or above") }
    return Float(value)
  }

  /// Throws for a scaling of rotations that the architecture does not have.
  func refuseScaling(_ scaling: RotaryScaling?) throws(ModelError) {
    guard let scaling, scaling != .none else { return }
    throw .unsupported(
      path: file.path, item: "rotary scaling", found: "of a model without rotary positions",
      allowed: "none")
  }
}
