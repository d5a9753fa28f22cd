import KernelTable
import StreamingAttention

/// A cache under test, and tokens whose keys and values follow from their number alone.
final class CacheHarness {
  /// Two layers that keep everything (one rotary, one without positions) and one with a window.
  static let mixedLayers = [
    LayerShape(
      kvHeads: 2, keyWidth: 7, valueWidth: 5, keyType: .float16, valueType: .bfloat16,
      keyPositions: .rotary(pairs: 2, pairing: .halves)),
    LayerShape(
      kvHeads: 1, keyWidth: 4, valueWidth: 18, keyType: .bfloat16, valueType: .float32,
      keyPositions: .rotary(pairs: 2, pairing: .interleaved), retention: .window(130)),
    LayerShape(
      kvHeads: 3, keyWidth: 3, keyType: .float32, valueType: .float16, keyPositions: .none),
  ]

  let cache: KVCache
  let kernels: KernelTable

  init(
    _ layers: [LayerShape] = CacheHarness.mixedLayers, stripes: [Int?] = [nil],
    memoryLimit: Int = 64 << 20, kernels: KernelTable = SlotTwin.kernels
  ) throws {
    cache = try KVCache(layers: layers, stripes: stripes, memoryLimit: memoryLimit)
    self.kernels = kernels
  }

  // MARK: Tokens

  /// A number in [−1, 1) that depends on all arguments.
  static func number(token: Int, layer: Int, head: Int, channel: Int, isKey: Bool) -> Float {
    var word = UInt64(truncatingIfNeeded: token) &* 0x9E37_79B9_7F4A_7C15
    word ^= UInt64(layer << 40 | head << 24 | channel << 1 | (isKey ? 1 : 0))
    word = (word ^ (word >> 31)) &* 0x94D0_49BB_1331_11EB
    return Float(word >> 40) / Float(1 << 23) - 1
  }

  static func row(token: Int, layer: Int, head: Int, width: Int, isKey: Bool) -> [Float] {
    (0..<width).map {
      number(token: token, layer: layer, head: head, channel: $0, isKey: isKey)
    }
  }

  /// Any turn would do: (cos, sin) of a quarter turn times a small integer, so that turning is exact.
  static func turns(distance: Int, pairs: Int) -> [Float] {
    let quarter = (0..<pairs).map { ((distance &* (2 * $0 + 1)) % 4 + 4) % 4 }
    return quarter.map { [1, 0, -1, 0][$0] } + quarter.map { [0, 1, 0, -1][$0] }
  }

  // MARK: Steps

  /// Reserves slots for tokens of several sequences and writes them.
  func reserve(_ requests: [(SequenceID, [Int])], poison: Bool = true) throws -> Reservation {
    let reservation = try cache.reserve(
      requests.map { SlotRequest($0.0, appending: $0.1.count) })
    if poison { cache.fillReservedPages(with: 0xFF) }
    for (index, request) in requests.enumerated() { write(request.1, request: index) }
    return reservation
  }

  func append(_ tokens: [Int], to sequence: SequenceID) throws {
    cache.commit(try reserve([(sequence, tokens)]))
  }

  private func write(_ tokens: [Int], request: Int) {
    for (layer, shape) in cache.layers.enumerated() {
      let writer = unsafe cache.slotWriter(request: request, layer: layer, kernels: kernels)
      let heads = 0..<shape.kvHeads
      let keys = tokens.flatMap { token in
        heads.flatMap {
          Self.row(token: token, layer: layer, head: $0, width: shape.keyWidth, isKey: true)
        }
      }
      let values = tokens.flatMap { token in
        heads.flatMap {
          Self.row(token: token, layer: layer, head: $0, width: shape.valueWidth, isKey: false)
        }
      }
      let first = unsafe writer.firstPosition
      let anchor = unsafe writer.anchor
      let turns = tokens.indices.flatMap {
        Self.turns(
          distance: first + $0 - anchor, pairs: shape.rotaryPairs)
      }
      for head in heads.reversed() {
        // SAFETY: the arrays hold a row for each token of the request and outlive the calls.
        unsafe keys.withUnsafeBufferPointer { keys in
          unsafe values.withUnsafeBufferPointer { values in
            unsafe turns.withUnsafeBufferPointer { turns in
              guard let keys = keys.baseAddress, let values = values.baseAddress
              else { return }
              unsafe writer.write(
                pages: 0..<writer.pageCount, kvHead: head, keys: keys,
                keyTokenStride: shape.kvHeads * shape.keyWidth, values: values,
                valueTokenStride: shape.kvHeads * shape.valueWidth,
                turns: shape.rotaryPairs > 0 ? turns.baseAddress : nil)
            }
          }
        }
      }
    }
  }

  // MARK: Looking inside

  func entries(of sequence: SequenceID, table: Int = 0) -> [LiveEntry] {
    var entries: [LiveEntry] = []
    try? cache.forEachLiveEntry(of: sequence, table: table) { entries.append($0) }
    return entries
  }

  func address(layer: Int, head: Int, page: Int) -> UInt {
    unsafe UInt(bitPattern: cache.pageAddresses(layer: layer, kvHead: head)[page])
  }

  func pageBytes(layer: Int, head: Int, page: Int) -> [UInt8] {
    // SAFETY: the page belongs to a live entry, so it is committed.
    unsafe [UInt8](
      UnsafeRawBufferPointer(
        start: UnsafeRawPointer(bitPattern: address(layer: layer, head: head, page: page)),
        count: cache.layout(ofLayer: layer).pageBytes))
  }

  /// Whether every live slot of a sequence holds the stored form of its token, `tokens` being the newest ones.
  ///
  /// `distances` are (position − anchor) of each token when it was written.
  func holds(_ tokens: [Int], distances: [Int], in sequence: SequenceID) -> Bool {
    for (layer, shape) in cache.layers.enumerated() {
      let entries = entries(of: sequence, table: cache.table(ofLayer: layer))
      var index = tokens.count - entries.reduce(0) { $0 + $1.slots.count }
      for entry in entries {
        for slot in entry.slots {
          for head in 0..<shape.kvHeads
          where !holds(
            tokens[index], distance: distances[index], layer: layer, head: head, page: entry.page,
            slot: slot)
          {
            return false
          }
          index += 1
        }
      }
    }
    return true
  }

  private func holds(
    _ token: Int, distance: Int, layer: Int, head: Int, page: Int, slot: Int
  ) -> Bool {
    let shape = cache.layers[layer]
    let pairs = shape.rotaryPairs
    let order: PairOrder = shape.rotaryPairing == .halves ? .halves : .interleaved
    let key = SlotTwin.turned(
      Self.row(token: token, layer: layer, head: head, width: shape.keyWidth, isKey: true),
      turns: pairs > 0 ? Self.turns(distance: distance, pairs: pairs) : nil, pairs: pairs,
      order: order)
    let value = Self.row(
      token: token, layer: layer, head: head, width: shape.valueWidth, isKey: false)
    // SAFETY: the page belongs to a live entry, so it is committed and has an address.
    guard
      let base = unsafe UnsafeRawPointer(
        bitPattern: address(layer: layer, head: head, page: page))
    else { return false }
    let values = unsafe base + cache.layout(ofLayer: layer).valueOffset
    for channel in key.indices {
      let index = SlotTwin.keyIndex(
        channel: channel, slot: slot, pairs: pairs, order: order, element: shape.keyType.stored)
      let stored = unsafe SlotTwin.load(base, index, shape.keyType.stored)
      if stored != SlotTwin.rounded(key[channel], shape.keyType.stored) { return false }
    }
    for channel in value.indices {
      let index = SlotTwin.valueIndex(
        channel: channel, slot: slot, width: shape.valueWidth, element: shape.valueType.stored)
      let stored = unsafe SlotTwin.load(values, index, shape.valueType.stored)
      if stored != SlotTwin.rounded(value[channel], shape.valueType.stored) { return false }
    }
    return true
  }

  /// Everything that a step which is given up must leave as it was.
  func fingerprint(of sequences: [SequenceID]) -> Fingerprint {
    Fingerprint(
      byteCount: cache.byteCount, formulaBytes: cache.formulaBytes,
      sequences: sequences.map { sequence in
        Fingerprint.Sequence(
          length: (try? cache.length(of: sequence)) ?? -1,
          nextPosition: (try? cache.nextPosition(of: sequence)) ?? -1,
          tables: (0..<cache.tableCount).map { entries(of: sequence, table: $0) },
          addresses: cache.layers.enumerated().flatMap { layer, shape in
            entries(of: sequence, table: cache.table(ofLayer: layer)).flatMap { entry in
              (0..<shape.kvHeads).map { address(layer: layer, head: $0, page: entry.page) }
            }
          })
      })
  }

  struct Fingerprint: Equatable {
    struct Sequence: Equatable {
      var length: Int
      var nextPosition: Int
      var tables: [[LiveEntry]]
      var addresses: [UInt]
    }
    var byteCount: Int
    var formulaBytes: Int
    var sequences: [Sequence]
  }
}
