package import StreamingAttention

/// How keys and values are stored.
package struct StoredTypes: Sendable, Equatable {
  package var key: ElementType
  package var value: ElementType

  package init(key: ElementType, value: ElementType) {
    self.key = key
    self.value = value
  }

  /// `f16`, or `f32/bf16` where keys and values differ.
  package var name: String { key == value ? key.name : "\(key.name)/\(value.name)" }
}
