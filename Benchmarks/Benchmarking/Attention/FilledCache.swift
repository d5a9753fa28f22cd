import StreamingAttention

/// A cache that is filled once and measured with several encodings, threads and numbers of rows.
final class FilledCache {
  let cache: KVCache
  let types: StoredTypes
  let context: ContextMix
  let cycle: CyclePlan
  let ids: [SequenceID]

  init(
    shape: AttentionShape, types: StoredTypes, context: ContextMix, cycle: CyclePlan,
    seed: UInt64, workers: Workers, instructionSet: InstructionSet,
    progress: (Double) throws(BenchmarkError) -> Void
  ) throws(BenchmarkError) {
    self.types = types
    self.context = context
    self.cycle = cycle
    let layer = LayerShape(
      kvHeads: shape.kvHeads, keyWidth: shape.headDimension, keyType: types.key,
      valueType: types.value,
      keyPositions: .rotary(
        pairs: shape.headDimension / 2,
        pairing: AttentionVariant.pairing(keyType: types.key)))
    let cache = try BenchmarkError.wrapping { () throws(CacheError) in
      try KVCache(layers: Array(repeating: layer, count: cycle.layers))
    }
    self.cache = cache
    let writer = try AttentionVariant(
      .none, epsilon: 0, cache: cache, shape: shape, workers: workers,
      instructionSet: instructionSet)
    var ids: [SequenceID] = []
    for _ in context.lengths {
      ids.append(
        try BenchmarkError.wrapping { () throws(CacheError) in try cache.makeSequence() })
    }
    self.ids = ids
    var generator = seed
    func random(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        var sum: Float = 0
        for _ in 0..<4 {
          generator = generator &* 6364136223846793005 &+ 1442695040888963407
          sum += Float(Int32(truncatingIfNeeded: generator >> 32)) * 0x1p-31
        }
        return sum * 0.866
      }
    }
    let pool = random(64 * 64 * shape.kvHeads * shape.headDimension)
    let tokens = 64 * shape.kvHeads * shape.headDimension
    var done = 0
    for (index, length) in context.lengths.enumerated() {
      var first = 0
      while first < length {
        let count = min(64, length - first)
        try BenchmarkError.wrapping { () throws(AttentionError) in
          try writer.engine.begin([StepRequest(ids[index], appending: count, querying: 0)])
          for layer in 0..<cycle.layers {
            let at = (first / 64 &* 7 &+ layer &* 13) % 64 * tokens
            let rows = pool.span.extracting(at..<at + tokens * count / 64)
            try writer.engine.append(layer: layer, keys: rows, values: rows)
          }
          writer.engine.commit()
        }
        first += count
      }
      done += length
      try progress(Double(done) / Double(context.total))
    }
  }
}
