/// Heads and widths of one attention layer.
package struct AttentionShape: Sendable, Hashable {
  package var queryHeads: Int
  package var kvHeads: Int
  package var headDimension: Int

  package init(queryHeads: Int, kvHeads: Int, headDimension: Int) {
    self.queryHeads = queryHeads
    self.kvHeads = kvHeads
    self.headDimension = headDimension
  }

  /// Heads that may be asked for.
  package static let allowedHeads = 1...1_024
  /// Channels of a head that may be asked for: one pair that a rotation turns at least.
  package static let allowedDimensions = 2...1_024

  /// Shapes of well-known models by name, with their numbers of layers, from their configuration files.
  package static let named: [(name: String, shape: AttentionShape, layers: Int)] = [
    ("llama-3-8b", AttentionShape(queryHeads: 32, kvHeads: 8, headDimension: 128), 32),
    ("mistral-7b", AttentionShape(queryHeads: 32, kvHeads: 8, headDimension: 128), 32),
    ("smollm2-135m", AttentionShape(queryHeads: 9, kvHeads: 3, headDimension: 64), 30),
    ("gemma-3-270m", AttentionShape(queryHeads: 4, kvHeads: 1, headDimension: 256), 18),
    ("qwen2.5-7b", AttentionShape(queryHeads: 28, kvHeads: 4, headDimension: 128), 28),
    ("bloom-7b1", AttentionShape(queryHeads: 32, kvHeads: 32, headDimension: 128), 30),
    ("mpt-7b", AttentionShape(queryHeads: 32, kvHeads: 32, headDimension: 128), 32),
  ]
}
