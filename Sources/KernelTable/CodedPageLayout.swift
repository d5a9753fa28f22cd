/// Where things lie in a quantised page of 64 slots, keys before values, all in the order in which kernels read.
///
/// Columns stand side by side in panels of 32, the last one of the values 16 if their channels end there; stored rows hold
/// a *four* (int8) or an *eight* (int4) of rows in 32-bit lanes, byte j of a lane row 4i + j, or 8i + j in its low and
/// 8i + 4 + j in its high half. Rows that fill up a four or an eight are zero. With c and v for the channels of keys and
/// values, each rounded up to 16:
///
/// | | bytes |
/// |---|---|
/// | int8 keys | `scale[c]`, `zero[c]`, then codes `[2 panels of 32 slots][channel four][slot][4]` |
/// | int4 keys | `2 × (scale[c], zero[c], codes [channel eight][32 slots][4])`, so scales hold for 32 slots |
/// | int8 values | `panels of 32 × (codes [slot four][channel][4], scale[32], zero[32])`, scales for the page |
/// | int4 values | `panels of 32 × 2 × (codes [slot eight][channel][4], scale[32], zero[32])`, scales for 32 slots |
///
/// Keys are in rotary order as those of f16 are: first members of the pairs, second members, the rest. What is not
/// quantised lies as in a plain page. Keys and values begin at a multiple of 64 bytes.
package struct CodedPageLayout: Sendable, Equatable {
  /// From the start of the page to its values in bytes.
  package let valueOffset: Int
  /// The whole page in bytes.
  package let pageBytes: Int

  package init(
    keyWidth: Int, keyElement: StoredElement, keyCode: PageCode, valueWidth: Int,
    valueElement: StoredElement, valueCode: PageCode
  ) {
    let keyChannels = (keyWidth + 15) / 16 * 16
    let valueChannels = (valueWidth + 15) / 16 * 16
    // Fours of 32 slots take 128 bytes, and so do eights.
    valueOffset =
      switch keyCode {
      case .none: Self.plainBytes(keyWidth, keyElement) * 64
      case .int8: 4 * keyChannels + (keyWidth + 3) / 4 * 256
      case .int4: 8 * keyChannels + (keyWidth + 7) / 8 * 256
      }
    let valueBytes =
      switch valueCode {
      case .none: valueChannels * (valueElement == .float32 ? 256 : 128)
      case .int8: valueChannels * 68
      case .int4: valueChannels * 40
      }
    pageBytes = valueOffset + valueBytes
  }

  /// Bytes of a plain key in one slot.
  private static func plainBytes(_ width: Int, _ element: StoredElement) -> Int {
    switch element {
    case .float32: width * 4
    case .float16: width * 2
    case .bfloat16: (width + 1) / 2 * 4
    }
  }
}
