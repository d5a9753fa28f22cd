import KernelTable
import TestSupport

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

  /// Appends a slot of the page of an entry to a list of tokens, with what integers do to it (`ReferenceArithmetic`, “Codes”).
  ///
  /// Queries and probabilities are rounded to 1 ÷ 127 of the largest where int4 meets dot products of bytes, else to
  /// 1 ÷ 32,639.
  func append(
    slot: Int, of entry: LiveEntry, to tokens: inout ReferenceTokens, instructionSet: InstructionSet
  ) {
    func half(_ code: PageCode) -> Double { 0.5 / code.largestFactor(on: instructionSet) }
    var (keys, keySizes, values, valueSizes) = ([Double](), [Double](), [Double](), [Double]())
    var (scale, squares) = (0.0, 0.0)
    for channel in 0..<form.keyWidth {
      guard let code = keyCode(channel: channel, slot: slot) else {
        keys.append(key(channel: channel, slot: slot))
        keySizes.append(keys[channel].magnitude)
        continue
      }
      keys.append(code.value)
      keySizes.append(code.zero.magnitude + code.scale * Double(code.code))
      scale = max(scale, code.scale)
      squares += Double(code.code * code.code)
    }
    for channel in 0..<form.valueWidth {
      guard let code = valueCode(channel: channel, slot: slot) else {
        values.append(value(channel: channel, slot: slot))
        valueSizes.append(values[channel].magnitude)
        continue
      }
      values.append(code.value)
      valueSizes.append(code.zero.magnitude + code.scale * Double(code.code))
    }
    tokens.append(
      decodedKey: keys, value: values, keyMagnitudes: keySizes, valueMagnitudes: valueSizes,
      at: entry.basePosition + slot, anchor: entry.anchor,
      codes: ReferenceCodes(
        scoreUnit: scale * squares.squareRoot() * half(form.keyCode),
        weightUnit: half(form.valueCode), page: entry.number))
  }

  func value(slot: Int) -> [Double] { (0..<form.valueWidth).map { value(channel: $0, slot: slot) } }
}

extension [Double] {
  /// √Σ x².
  var norm: Double { reduce(0) { $0 + $1 * $1 }.squareRoot() }

  func distance(to other: [Double]) -> Double { zip(self, other).map { $0 - $1 }.norm }
}
