import StreamingAttention

/// Reads the pages of one layer and KV head back as numbers.
///
/// Written from the description of the layout alone (Documentation/Kernels.md), so that it checks what kernels wrote.
@safe struct StoredPages {
  /// Stored rows of keys.
  let keyRows: Int
  let valueWidth: Int

  private let shape: LayerShape
  private let valueOffset: Int
  private let pages: UnsafePointer<UnsafeMutableRawPointer?>

  init(_ cache: KVCache, layer: Int, kvHead: Int) {
    shape = cache.layers[layer]
    let layout = cache.layout(ofLayer: layer)
    (keyRows, valueWidth, valueOffset) = (layout.keyRows, shape.valueWidth, layout.valueOffset)
    unsafe pages = cache.pageAddresses(layer: layer, kvHead: kvHead)
  }

  /// The caller's channel of each stored row of a key, for one who takes the first `2·pairs` rows for rotary pairs;
  /// a row that holds none gives −1.
  func channels(_ rotary: RotaryEmbedding?) -> [Int] {
    let pairs = rotary?.pairCount ?? 0
    var channels: [Int] = []
    if let rotary {
      let all = (0..<pairs).map(rotary.channels(ofPair:))
      // Two members of a pair share a lane in bf16; elsewhere all first members come first.
      channels =
        shape.keyType == .bfloat16
        ? all.flatMap { [$0.first, $0.second] } : all.map(\.first) + all.map(\.second)
    }
    channels += 2 * pairs..<shape.keyWidth
    return channels + [Int](repeating: -1, count: keyRows - shape.keyWidth)
  }

  /// Writes a page's keys as `[row][slot]`, all 64 slots.
  func readKeys(page: Int, into keys: inout [Double]) {
    keys.removeAll(keepingCapacity: true)
    let isPaired = shape.keyType == .bfloat16
    for row in 0..<keyRows {
      for slot in 0..<PageLayout.slots {
        // SAFETY: an entry's page holds `keyRows · 64` numbers.
        keys.append(
          unsafe number(
            address(page), isPaired ? (row / 2 * 64 + slot) * 2 + row % 2 : row * 64 + slot,
            shape.keyType))
      }
    }
  }

  /// Writes a page's values as `[slot][channel]`, all 64 slots.
  func readValues(page: Int, into values: inout [Double]) {
    values.removeAll(keepingCapacity: true)
    let columns = (valueWidth + 15) / 16 * 16
    for slot in 0..<PageLayout.slots {
      for panel in stride(from: 0, to: valueWidth, by: PageLayout.panelWidth) {
        let width = min(PageLayout.panelWidth, columns - panel)
        for channel in 0..<min(width, valueWidth - panel) {
          let index =
            shape.valueType == .bfloat16
            ? (slot / 2 * width + channel) * 2 + slot % 2 : slot * width + channel
          // SAFETY: panels of 64 slots lie end to end behind the keys.
          values.append(
            unsafe number(
              address(page) + valueOffset, panel * PageLayout.slots + index, shape.valueType))
        }
      }
    }
  }

  @unsafe private func address(_ page: Int) -> UnsafeMutableRawPointer {
    guard let address = unsafe pages[page] else {
      preconditionFailure("page \(page) has no address")
    }
    return unsafe address
  }

  @inline(__always)
  @unsafe private func number(
    _ start: UnsafeMutableRawPointer, _ index: Int, _ type: ElementType
  ) -> Double {
    switch type {
    case .float32:
      return Double(unsafe start.load(fromByteOffset: 4 * index, as: Float.self))
    case .float16:
      // By integers: a conversion is a library call where the processor is unknown.
      let bits = UInt32(unsafe start.load(fromByteOffset: 2 * index, as: UInt16.self))
      let magnitude =
        bits & 0x7c00 == 0x7c00
        ? Float.nan : Float(bitPattern: (bits & 0x7fff) &<< 13) * 0x1p112
      return Double(bits & 0x8000 == 0 ? magnitude : -magnitude)
    case .bfloat16:
      let bits = UInt32(unsafe start.load(fromByteOffset: 2 * index, as: UInt16.self))
      return Double(Float(bitPattern: bits &<< 16))
    }
  }
}
