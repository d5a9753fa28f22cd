import KernelTable

/// Where things lie in a page: 64 slots of one layer and one KV head, keys before values, without gaps.
///
/// Keys: f32 and f16 `[channel][slot]`; bf16 `[channel pair][slot][2]`, an odd width rounded up to a pair.
/// Values: `[panel][slot][channel]` in panels of 64 channels, the last one as wide as needed, rounded up
/// to 16; bf16 `[panel][slot pair][channel][2]`. Pages of a quantised shape: `CodedPageLayout`; those of its newest
/// entries have the layout of ``LayerShape/plain``. One layout serves every instruction set.
package struct PageLayout: Sendable, Equatable {
  /// Slots of a page.
  package static let slots = 64
  /// Channels of a full value panel.
  package static let panelWidth = 64

  /// Rows of 64 stored numbers that the keys take: `keyWidth`, bf16 rounded up to even.
  package let keyRows: Int
  /// `valueWidth` rounded up to 16.
  package let valueColumns: Int
  /// From the start of the page to its values in bytes, a multiple of 64.
  package let valueOffset: Int
  /// The whole page in bytes, a multiple of 64.
  package let pageBytes: Int

  package init(_ shape: LayerShape) {
    keyRows = shape.keyType == .bfloat16 ? (shape.keyWidth + 1) / 2 * 2 : shape.keyWidth
    valueColumns = (shape.valueWidth + 15) / 16 * 16
    if shape.isQuantized {
      let coded = CodedPageLayout(
        keyWidth: shape.keyWidth, keyElement: shape.keyType.stored, keyCode: shape.keyCode,
        valueWidth: shape.valueWidth, valueElement: shape.valueType.stored,
        valueCode: shape.valueCode)
      (valueOffset, pageBytes) = (coded.valueOffset, coded.pageBytes)
    } else {
      valueOffset = keyRows * Self.slots * shape.keyType.bits / 8
      pageBytes = valueOffset + valueColumns * Self.slots * shape.valueType.bits / 8
    }
  }
}
