import KernelTable
import TestSupport

@testable import StreamingAttention

extension OperationHarness {
  /// Types of a harness whose keys and values are quantised in part.
  static let quantizedTypes: [ElementType] = [.int8, .int4, .float16]

  /// Which entries of a sequence's first page table are in codes.
  func forms(of sequence: SequenceID) -> [Bool] { entries(of: sequence, table: 0).map(\.isCoded) }

  /// The entries of a sequence and the bytes of their pages, in all layers.
  func contents(of sequence: SequenceID) -> [[UInt8]] {
    var contents: [[UInt8]] = []
    for (layer, shape) in cache.layers.enumerated() {
      for entry in entries(of: sequence, table: cache.table(ofLayer: layer)) {
        contents.append(Array("\(entry)".utf8))
        for head in 0..<shape.kvHeads {
          contents.append(
            CodedPage(of: entry, in: cache, layer: layer, head: head)?.memory.bytes ?? [])
        }
      }
    }
    return contents
  }

  /// Whether every live slot of a sequence holds its token.
  func holds(_ identities: [Int], in sequence: SequenceID) -> Bool {
    for (layer, shape) in cache.layers.enumerated() {
      for entry in entries(of: sequence, table: cache.table(ofLayer: layer)) {
        for (slot, token) in zip(entry.slots, entry.tokens) {
          for head in 0..<shape.kvHeads
          where !holds(identities[token], layer: layer, head: head, entry: entry, slot: slot) {
            return false
          }
        }
      }
    }
    return true
  }

  /// Whether a live slot of a quantised layer holds a token's key and value, up to the errors that the page records.
  func holdsCodes(
    _ identity: Int, layer: Int, head: Int, entry: LiveEntry, slot: Int
  ) -> Bool {
    let shape = cache.layers[layer]
    guard let page = CodedPage(of: entry, in: cache, layer: layer, head: head) else { return false }
    let errors = unsafe cache.pageErrors(layer: layer, kvHead: head)[entry.page]
    let norms = unsafe cache.pageNorms(layer: layer, kvHead: head)[entry.page]
    let given = key(identity, layer: layer, head: head).map(Double.init)
    let turned =
      rotation(layer: layer, epoch: entry.epoch)?
      .turned(given, by: entry.basePosition + slot - entry.anchor) ?? given
    // A key is rounded when it is written and by each rewrite, as in a cache that is not quantised.
    let roundings = Double(1 + rewrites(entry.page, table: cache.table(ofLayer: layer)))
    let unit = Self.unit(shape.keyType) * 1.01 + 8 * 0x1p-24
    let slack = roundings * (unit * given.norm + 0x1p-24 * Double(given.count))
    let key = page.key(slot: slot)
    let value = page.value(slot: slot)
    let written = self.value(identity, layer: layer, head: head).map {
      Double(SlotTwin.rounded($0, shape.valueType.stored))
    }
    return key.distance(to: turned) <= Double(errors.key) + slack
      && value.distance(to: written) <= Double(errors.value)
      && key.norm <= Double(norms.key) * (1 + 0x1p-20)
      && value.norm <= Double(norms.value) * (1 + 0x1p-20)
      && areReasonable(errors, entry, layer: layer)
  }

  /// Whether recorded errors are those of codes, and none where nothing was ever quantised.
  ///
  /// Normal numbers among 32,768 reach 4.6 at most; a turned one and an error before add up to 9. A page is quantised again
  /// after each rewrite or rewind, some dozens of times in a long history of these tests.
  private func areReasonable(_ errors: PageErrors, _ entry: LiveEntry, layer: Int) -> Bool {
    func most(_ code: PageCode, _ width: Int) -> Double {
      switch code {
      case .none: 0
      case .int8: 64 * 9.0 / 255 * Double(width).squareRoot()
      case .int4: 64 * 9.0 / 15 * Double(width).squareRoot()
      }
    }
    let shape = cache.layers[layer]
    if entry.isCoded, (shape.keyCode != .none) != (errors.key > 0) { return false }
    return Double(errors.key) <= most(shape.keyCode, shape.keyWidth)
      && Double(errors.value) <= most(shape.valueCode, shape.valueWidth)
  }

  /// What queries and probabilities in integers may move an output by, which `quantizationBounds` does not count.
  ///
  /// A query's product with the scale of a channel is rounded to a step of 1 ÷ top of the largest one, and meets codes up to
  /// `code`; a scale is at most 2·K ÷ code where no key is longer than K. Over w channels a score moves by scale·‖q‖·K·w ÷ top
  /// at most. Probabilities are rounded to steps of 1 ÷ top of the page's largest, which weighs no more than the page:
  /// weights move by 32 ÷ top together, once more for their sum. `top` is 127 for int4 by dot products of bytes, else 32,639.
  func integerBound(layer: Int, kvHead: Int, query: [Float], of sequence: SequenceID) -> Double {
    let shape = cache.layers[layer]
    var (key, value) = (0.0, 0.0)
    let norms = unsafe cache.pageNorms(layer: layer, kvHead: kvHead)
    for entry in entries(of: sequence, table: cache.table(ofLayer: layer)) {
      key = max(key, unsafe Double(norms[entry.page].key))
      value = max(value, unsafe Double(norms[entry.page].value))
    }
    func top(_ code: PageCode) -> Double { code.largestFactor(on: engine.instructionSet) }
    let length = query.map(Double.init).norm
    let score =
      length * key * Double(shape.keyWidth).squareRoot() / top(shape.keyCode)
    return (2 * score + 2 * 32 / top(shape.valueCode)) * value
  }
}
