import KernelTable

@testable import StreamingAttention

extension CodedPage {
  /// A copy of the page of an entry, to be read slot by slot.
  init?(of entry: LiveEntry, in cache: KVCache, layer: Int, head: Int) {
    let shape = cache.layers[layer]
    let layout = entry.isCoded ? cache.codedLayout(ofLayer: layer) : cache.layout(ofLayer: layer)
    self.init(
      PageForm(
        keyWidth: shape.keyWidth, valueWidth: shape.valueWidth, keyElement: shape.keyType.stored,
        valueElement: shape.valueType.stored, keyCode: entry.isCoded ? shape.keyCode : .none,
        valueCode: entry.isCoded ? shape.valueCode : .none, pairs: shape.rotaryPairs,
        order: shape.rotaryPairing == .halves ? .halves : .interleaved))
    guard let page = unsafe cache.pageAddresses(layer: layer, kvHead: head)[entry.page],
      layout.pageBytes == memory.byteCount
    else { return nil }
    // SAFETY: the page of a live entry is committed and `pageBytes` long.
    unsafe memory.start.copyMemory(from: page, byteCount: layout.pageBytes)
  }

  func key(slot: Int) -> [Double] { (0..<form.keyWidth).map { key(channel: $0, slot: slot) } }

  func value(slot: Int) -> [Double] { (0..<form.valueWidth).map { value(channel: $0, slot: slot) } }
}

extension [Double] {
  /// √Σ x².
  var norm: Double { reduce(0) { $0 + $1 * $1 }.squareRoot() }

  func distance(to other: [Double]) -> Double { zip(self, other).map { $0 - $1 }.norm }
}
