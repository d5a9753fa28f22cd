package import KernelTable

/// The shape of one attention layer's keys and values, and how the cache stores them.
///
/// Checked by ``KVCache``'s initializer, which names the layer at fault.
public struct LayerShape: Sendable, Equatable {
  /// Number of KV heads.
  public var kvHeads: Int
  /// Channels of a key.
  public var keyWidth: Int
  /// Channels of a value; it may be narrower or wider than a key.
  public var valueWidth: Int
  /// How keys are stored.
  public var keyType: ElementType
  /// How values are stored.
  public var valueType: ElementType
  /// What a key knows about its position, and whether the cache turns it.
  public var keyPositions: KeyPositions
  /// How far back keys and values are kept.
  public var retention: Retention
  /// Layers with the same number and the same retention share a page table, and evict the same pages.
  public var pageTable = 0

  /// A layer's shape.
  ///
  /// - Parameters:
  ///   - kvHeads: Number of KV heads, at least 1.
  ///   - keyWidth: Channels of a key, at least 1.
  ///   - valueWidth: Channels of a value; as many as a key's if nil.
  ///   - keyType: How keys are stored.
  ///   - valueType: How values are stored.
  ///   - keyPositions: What a key knows about its position.
  ///   - retention: How far back keys and values are kept.
  public init(
    kvHeads: Int, keyWidth: Int, valueWidth: Int? = nil, keyType: ElementType,
    valueType: ElementType, keyPositions: KeyPositions, retention: Retention = .everything
  ) {
    self.kvHeads = kvHeads
    self.keyWidth = keyWidth
    self.valueWidth = valueWidth ?? keyWidth
    self.keyType = keyType
    self.valueType = valueType
    self.keyPositions = keyPositions
    self.retention = retention
  }

  /// The codes of quantised pages.
  package var keyCode: PageCode { keyType.code }
  package var valueCode: PageCode { valueType.code }

  /// Whether pages other than the newest hold codes.
  package var isQuantized: Bool { keyCode != .none || valueCode != .none }

  /// The same layer in plain pages.
  package var plain: LayerShape {
    var shape = self
    (shape.keyType, shape.valueType) = (keyType.plain, valueType.plain)
    return shape
  }

  func sharesTable(with other: LayerShape) -> Bool {
    retention == other.retention && pageTable == other.pageTable
  }

  /// Rotary pairs that the cache turns, 0 where keys are stored as they come.
  package var rotaryPairs: Int {
    if case .rotary(let pairs, _) = keyPositions { pairs } else { 0 }
  }

  /// Where the two channels of a pair stand; `.halves` where nothing turns.
  package var rotaryPairing: RotaryPairing {
    if case .rotary(_, let pairing) = keyPositions { pairing } else { .halves }
  }

  /// The largest width and number of heads that a layer may have: far above any model's, far below overflow.
  package static let widest = 1 << 16

  /// Throws what is wrong with the shape of layer number `layer`.
  func check(layer: Int) throws(CacheError) {
    func demand(_ value: Int, in allowed: ClosedRange<Int>, _ what: ShapePart) throws(CacheError) {
      guard allowed.contains(value) else {
        throw .invalidShape(layer: layer, part: what, received: value, allowed: allowed)
      }
    }
    try demand(kvHeads, in: 1...Self.widest, .kvHeads)
    try demand(keyWidth, in: 1...Self.widest, .keyWidth)
    try demand(valueWidth, in: 1...Self.widest, .valueWidth)
    if case .rotary(let pairs, _) = keyPositions {
      try demand(pairs, in: 0...keyWidth / 2, .rotaryPairs)
    }
    if case .window(let length) = retention {
      try demand(length, in: 1...SequenceState.maximumPosition, .window)
    }
  }
}
