import KernelTable
package import StreamingAttention

/// Reads the pages of one layer and KV head back as numbers.
///
/// Written from the description of the layout alone (Documentation/Kernels.md), so that it checks what kernels wrote.
@safe package struct StoredPages {
  /// Stored rows of keys.
  let keyRows: Int
  let valueWidth: Int

  private let shape: LayerShape
  private let valueOffset: Int
  private let codedValueOffset: Int
  // Found once: a comparison of codes is a call, and each number would take some.
  private let codesKeys: Bool
  private let codesValues: Bool
  private let hasInt4Keys: Bool
  private let hasInt4Values: Bool
  private let pages: UnsafePointer<UnsafeMutableRawPointer?>
  private let errors: UnsafePointer<PageErrors>?

  /// Pages of a cache, which stand still as long as the value is used.
  package init(_ cache: KVCache, layer: Int, kvHead: Int) {
    shape = cache.layers[layer]
    let layout = cache.layout(ofLayer: layer)
    (keyRows, valueWidth, valueOffset) = (layout.keyRows, shape.valueWidth, layout.valueOffset)
    codedValueOffset = cache.codedLayout(ofLayer: layer).valueOffset
    (codesKeys, codesValues) = (shape.keyCode != .none, shape.valueCode != .none)
    (hasInt4Keys, hasInt4Values) = (shape.keyCode == .int4, shape.valueCode == .int4)
    unsafe pages = cache.pageAddresses(layer: layer, kvHead: kvHead)
    unsafe errors = shape.isQuantized ? cache.pageErrors(layer: layer, kvHead: kvHead) : nil
  }

  /// The caller's channel of each stored row of a key, for one who takes the first `2·pairs` rows for rotary pairs;
  /// a row that holds none gives −1.
  package func channels(_ rotary: RotaryEmbedding?) -> [Int] {
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

  /// Writes the keys of an entry's page as `[row][slot]`, all 64 slots.
  func readKeys(of entry: LiveEntry, into keys: inout [Double]) {
    keys.removeAll(keepingCapacity: true)
    for row in 0..<keyRows {
      for slot in 0..<PageLayout.slots { keys.append(keyNumber(entry, row, slot)) }
    }
  }

  /// Writes the values of an entry's page as `[slot][channel]`, all 64 slots.
  func readValues(of entry: LiveEntry, into values: inout [Double]) {
    values.removeAll(keepingCapacity: true)
    for slot in 0..<PageLayout.slots {
      for channel in 0..<valueWidth { values.append(valueNumber(entry, channel, slot)) }
    }
  }

  // MARK: Single slots

  /// Writes the key of one slot as it is stored, `[row]`.
  package func readKey(of entry: LiveEntry, slot: Int, into key: inout [Double]) {
    key.removeAll(keepingCapacity: true)
    for row in 0..<keyRows { key.append(keyNumber(entry, row, slot)) }
  }

  /// Writes the value of one slot, `[channel]`.
  package func readValue(of entry: LiveEntry, slot: Int, into value: inout [Double]) {
    value.removeAll(keepingCapacity: true)
    for channel in 0..<valueWidth { value.append(valueNumber(entry, channel, slot)) }
  }

  /// How far keys and values of an entry's page are from what was written, as the cache has it; 0 for plain ones that were never
  /// in codes.
  package func errors(of entry: LiveEntry) -> (key: Double, value: Double) {
    guard let errors = unsafe errors else { return (0, 0) }
    // SAFETY: a live entry's page has its errors in the table.
    let own = unsafe errors[entry.page]
    return (Double(own.key), Double(own.value))
  }

  /// The largest scale of the keys' codes in the panel that holds a slot; 0 for a plain page.
  package func largestKeyScale(of entry: LiveEntry, slot: Int) -> Double {
    guard entry.isCoded, codesKeys else { return 0 }
    let factors = keyFactors(slot)
    var largest = 0.0
    for row in 0..<shape.keyWidth {
      // SAFETY: an entry's page is as long as its layout says.
      largest = max(largest, unsafe number(address(entry.page) + factors + 2 * row, 0, .float16))
    }
    return largest
  }

  private func keyNumber(_ entry: LiveEntry, _ row: Int, _ slot: Int) -> Double {
    if entry.isCoded, codesKeys { return codedKey(entry.page, row, slot) }
    let isPaired = shape.keyType == .bfloat16
    // SAFETY: an entry's page holds `keyRows · 64` numbers.
    return unsafe number(
      address(entry.page), isPaired ? (row / 2 * 64 + slot) * 2 + row % 2 : row * 64 + slot,
      shape.keyType)
  }

  private func valueNumber(_ entry: LiveEntry, _ channel: Int, _ slot: Int) -> Double {
    if entry.isCoded, codesValues { return codedValue(entry.page, channel, slot) }
    let columns = (valueWidth + 15) / 16 * 16
    let panel = channel / PageLayout.panelWidth * PageLayout.panelWidth
    let (width, column) = (min(PageLayout.panelWidth, columns - panel), channel - panel)
    let index =
      shape.valueType == .bfloat16
      ? (slot / 2 * width + column) * 2 + slot % 2 : slot * width + column
    // SAFETY: panels of 64 slots lie end to end behind the keys.
    return unsafe number(
      address(entry.page) + (entry.isCoded ? codedValueOffset : valueOffset),
      panel * PageLayout.slots + index, shape.valueType)
  }

  /// Where the scales of a slot's key begin: int4 has some for each panel of 32 slots.
  private func keyFactors(_ slot: Int) -> Int {
    let padded = (shape.keyWidth + 15) / 16 * 16
    return hasInt4Keys
      ? slot / 32 * (4 * padded + (shape.keyWidth + 7) / 8 * 128) : 0
  }

  /// A key's number from its code, scale and zero (`CodedPageLayout`).
  private func codedKey(_ page: Int, _ row: Int, _ slot: Int) -> Double {
    let padded = (shape.keyWidth + 15) / 16 * 16
    let rows = hasInt4Keys ? 8 : 4
    let panelBytes = (shape.keyWidth + rows - 1) / rows * 128
    // int4 has scales for each panel of 32 slots.
    let factors = keyFactors(slot)
    let panel = factors + 4 * padded + (hasInt4Keys ? 0 : slot / 32 * panelBytes)
    // SAFETY: an entry's page is as long as its layout says.
    return unsafe decoded(
      address(page), code: panel + row / rows * 128 + slot % 32 * 4 + row % 4,
      isUpper: row % 8 > 3, isInt4: hasInt4Keys, scale: factors + 2 * row,
      zero: factors + 2 * (padded + row))
  }

  private func codedValue(_ page: Int, _ channel: Int, _ slot: Int) -> Double {
    let columns = (valueWidth + 15) / 16 * 16
    let rows = hasInt4Values ? 8 : 4
    let (panel, column) = (channel / 32, channel % 32)
    let width = min(32, columns - 32 * panel)
    // int4 has scales for 32 slots.
    let slots = hasInt4Values ? 32 : 64
    let part = slots * 4 / rows + 4
    let start =
      codedValueOffset + panel * 32 * part * (64 / slots) + slot / slots * width * part
    let factors = start + (part - 4) * width
    // SAFETY: an entry's page is as long as its layout says.
    return unsafe decoded(
      address(page), code: start + (slot % slots / rows * width + column) * 4 + slot % 4,
      isUpper: slot % 8 > 3, isInt4: hasInt4Values, scale: factors + 2 * column,
      zero: factors + 2 * (width + column))
  }

  @unsafe private func decoded(
    _ page: UnsafeMutableRawPointer, code: Int, isUpper: Bool, isInt4: Bool, scale: Int, zero: Int
  ) -> Double {
    let byte = unsafe page.load(fromByteOffset: code, as: UInt8.self)
    let code = isInt4 ? (isUpper ? byte >> 4 : byte & 15) : byte
    return unsafe number(page + zero, 0, .float16) + number(page + scale, 0, .float16)
      * Double(code)
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
    case .float16, .int8, .int4:
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
