import StreamingAttention

/// One encoding on a filled cache: what is measured in turns with the others.
struct AttentionVariant {
  let position: PositionKind
  /// 0 where everything is read.
  let epsilon: Float
  let engine: AttentionEngine

  init(
    _ position: PositionKind, epsilon: Float, rotation: FilledRotation, cache: KVCache,
    shape: AttentionShape, workers: Workers, instructionSet: InstructionSet
  ) throws(BenchmarkError) {
    self.position = position
    self.epsilon = epsilon
    var layer: LayerAttention
    do throws(PositionError) {
      let rotary =
        position.turns ? try Self.rotary(shape, keyType: cache.layers[0].keyType) : nil
      layer = LayerAttention(
        queryHeads: shape.queryHeads, rotary: rotary,
        alibi: position.isBiased ? try Self.alibi(shape) : nil, alibiEpsilon: epsilon)
      if position.turns, rotation.epochCount > 1 {
        // As when 128K become 256K.
        layer.laterRotary = [
          try Self.rotary(
            shape, keyType: cache.layers[0].keyType,
            scaling: .yarn(YaRN(factor: 2, originalContext: 131_072)))
        ]
      }
    } catch {
      throw .option(name: "--position", received: position.rawValue, allowed: "\(error)")
    }
    engine = try BenchmarkError.wrapping { () throws(AttentionError) in
      try AttentionEngine(
        cache: cache, layers: Array(repeating: layer, count: cache.layers.count), workers: workers,
        instructionSet: instructionSet, rotation: .any)
    }
  }

  /// Which pairs turn: those that leave stored channels in the caller's order.
  ///
  /// So one cache serves engines with and without rotation. The pairing changes no instruction of a kernel.
  static func pairing(keyType: ElementType) -> RotaryPairing {
    keyType == .bfloat16 ? .interleaved : .halves
  }

  static func alibi(_ shape: AttentionShape) throws(PositionError) -> ALiBi {
    try ALiBi(headCount: shape.queryHeads)
  }

  private static func rotary(
    _ shape: AttentionShape, keyType: ElementType, scaling: RotaryScaling = .none
  ) throws(PositionError) -> RotaryEmbedding {
    try RotaryEmbedding(
      headDimension: shape.headDimension, rotaryDimensions: shape.headDimension / 2 * 2,
      base: 500_000, pairing: pairing(keyType: keyType), scaling: scaling)
  }
}
