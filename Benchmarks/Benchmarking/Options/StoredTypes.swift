import KernelTable
package import StreamingAttention

/// How keys and values are stored.
package struct StoredTypes: Sendable, Equatable {
  package var key: ElementType
  package var value: ElementType

  package init(key: ElementType, value: ElementType) {
    self.key = key
    self.value = value
  }

  /// Whether pages other than the newest hold codes.
  package var isQuantized: Bool { key.code != .none || value.code != .none }

  /// `f16`, or `f32/bf16` where keys and values differ.
  package var name: String { key == value ? key.name : "\(key.name)/\(value.name)" }

  /// Bytes of a token's key and value of one KV head: without what pads a page, but with the scales of a quantised one.
  func tokenBytes(headDimension: Int) -> Int {
    guard isQuantized else { return headDimension * (key.bits + value.bits) / 8 }
    let layout = CodedPageLayout(
      keyWidth: headDimension, keyElement: key.stored, keyCode: key.code,
      valueWidth: headDimension, valueElement: value.stored, valueCode: value.code)
    return layout.pageBytes / PageLayout.slots
  }
}
