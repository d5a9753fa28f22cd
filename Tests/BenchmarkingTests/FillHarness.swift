import StreamingAttention

@testable import Benchmarking

/// An engine over a small cache, described in few words.
struct FillCase: CustomStringConvertible {
  enum Positions: CaseIterable {
    case none, halves, interleaved, partial, yarn, alibi, rotaryALiBi
  }

  var instructionSet = InstructionSet.detected
  var keyType = ElementType.float16
  var valueType = ElementType.float16
  var positions = Positions.halves
  var kvHeads = 2
  var group = 2
  var keyWidth = 32
  var valueWidth = 32
  var window: Int?
  var softcap: Float?
  var sinks: [Float]?
  var mask = AttentionMask.causal
  var layerCount = 1

  var description: String {
    "\(instructionSet) K \(keyType) V \(valueType) \(positions) \(kvHeads) × \(group) width "
      + "\(keyWidth)/\(valueWidth) window \(window ?? 0) softcap \(softcap ?? 0) \(mask)"
  }

  func rotary() throws -> RotaryEmbedding? {
    switch positions {
    case .none, .alibi: nil
    case .halves, .rotaryALiBi: try RotaryEmbedding(headDimension: keyWidth, pairing: .halves)
    case .interleaved:
      try RotaryEmbedding(headDimension: keyWidth, base: 500_000, pairing: .interleaved)
    case .partial:
      try RotaryEmbedding(
        headDimension: keyWidth, rotaryDimensions: keyWidth / 4 * 2, pairing: .halves)
    case .yarn:
      try RotaryEmbedding(
        headDimension: keyWidth, pairing: .halves,
        scaling: .yarn(YaRN(factor: 4, originalContext: 8192)))
    }
  }

  /// A second epoch: other frequencies, another attention factor.
  private func laterRotary(_ first: RotaryEmbedding?) throws -> [RotaryEmbedding] {
    try [first].compactMap(\.self).map {
      try RotaryEmbedding(
        headDimension: keyWidth, rotaryDimensions: $0.rotaryDimensions, base: $0.base,
        pairing: $0.pairing, scaling: .yarn(YaRN(factor: 2, originalContext: 4096)))
    }
  }

  /// Layer 0 as described; every other layer keeps a window of 300 and has narrower f32 values.
  func engine(workers: Workers = Workers(count: 2)) throws -> AttentionEngine {
    let rotary = try rotary()
    let hasALiBi = positions == .alibi || positions == .rotaryALiBi
    var shapes: [LayerShape] = []
    var layers: [LayerAttention] = []
    for layer in 0..<layerCount {
      let isOdd = layer % 2 == 1
      let window = isOdd ? 300 : window
      shapes.append(
        LayerShape(
          kvHeads: kvHeads, keyWidth: keyWidth, valueWidth: isOdd ? 20 : valueWidth,
          keyType: keyType, valueType: isOdd ? .float32 : valueType,
          keyPositions: rotary.map { .rotary(pairs: $0.pairCount, pairing: $0.pairing) } ?? .none,
          retention: window.map { .window($0) } ?? .everything))
      var attention = LayerAttention(
        queryHeads: kvHeads * group, mask: mask, window: window, softcap: softcap, sinks: sinks,
        rotary: rotary, alibi: hasALiBi ? try ALiBi(headCount: kvHeads * group) : nil)
      attention.laterRotary = try laterRotary(rotary)
      layers.append(attention)
    }
    return try AttentionEngine(
      cache: KVCache(layers: shapes, stripes: [nil], memoryLimit: 1 << 30), layers: layers,
      workers: workers, instructionSet: instructionSet)
  }
}

extension SyntheticFill {
  /// Takes the measured step in one layer and gives it up.
  func output(
    layer: Int = 0, queries: [Float], for reader: AttentionEngine? = nil,
    inspect: ([Float]) throws -> Void = { _ in }
  ) throws -> [Float] {
    let reader = reader ?? engine
    try reader.begin(requests)
    defer { reader.abandon() }
    for layer in reader.cache.layers.indices {
      try reader.append(
        layer: layer, keys: appendedKeys(layer: layer).span,
        values: appendedValues(layer: layer).span)
    }
    let stored = reader.cache.layers[layer]
    var output = [Float](
      repeating: .nan, count: queries.count / stored.keyWidth * stored.valueWidth)
    var span = output.mutableSpan
    try reader.attend(layer: layer, queries: queries.span, into: &span)
    try inspect(output)
    return output
  }
}
