import StreamingAttention

/// What edits of one long sequence cost in all layers: its pages are taken, and hardly any is ever written.
struct EditTimes {
  private(set) var fork = Samples()
  private(set) var drop = Samples()
  /// Removals of one whole page's tokens near the beginning.
  private(set) var shift = Samples()
  /// Removals of one token near the beginning: a page set is written anew.
  private(set) var shiftInside = Samples()
  /// Rewinds by one page.
  private(set) var rewind = Samples()
  /// Pages that the forks took in all.
  private(set) var forkedPages = 0

  static let layers = 32

  init(
    shape: AttentionShape, types: StoredTypes, length: Int, repeats: Int, workers: Workers
  ) throws(BenchmarkError) {
    let rotary = try? RotaryEmbedding(headDimension: shape.headDimension, pairing: .halves)
    let layer = LayerShape(
      kvHeads: shape.kvHeads, keyWidth: shape.headDimension, keyType: types.key,
      valueType: types.value,
      keyPositions: rotary.map { .rotary(pairs: $0.pairCount, pairing: $0.pairing) } ?? .none)
    let layers = [LayerShape](repeating: layer, count: Self.layers)
    let (cache, sequence) = try BenchmarkError.wrapping { () throws(CacheError) in
      // Address space and books for all of it; memory comes with the first touch, which hardly any page sees.
      let cache = try KVCache(layers: layers, memoryLimit: 1 << 36)
      return (cache, try cache.makeSequence())
    }
    _ = try BenchmarkError.wrapping { () throws(AttentionError) in
      try AttentionEngine(
        cache: cache,
        layers: layers.map { _ in LayerAttention(queryHeads: shape.queryHeads, rotary: rotary) },
        workers: workers)
    }
    do throws(CacheError) {
      var held = 0
      while held < length {
        let count = min(4_096, length - held)
        cache.commitUnwritten(try cache.reserve([SlotRequest(sequence, appending: count)]))
        held += count
      }
      try measure(cache, sequence, repeats: repeats)
    } catch {
      throw .cache(error)
    }
  }

  private mutating func measure(
    _ cache: KVCache, _ sequence: SequenceID, repeats: Int
  ) throws(CacheError) {
    // Tables that are copied or edited grow to their size once.
    try cache.drop(try cache.fork(sequence))
    try cache.remove(64..<128, from: sequence)
    try cache.remove(70..<71, from: sequence)
    let pages = cache.statistics().pages
    var forks: [SequenceID] = []
    for _ in 0..<repeats {
      let start = Stopwatch.now
      let copy = try cache.fork(sequence)
      fork.add(Stopwatch.now - start)
      forks.append(copy)
    }
    forkedPages = cache.statistics().pages - pages
    for copy in forks {
      drop.add(try Stopwatch.time { () throws(CacheError) in try cache.drop(copy) })
    }
    for _ in 0..<repeats {
      shift.add(
        try Stopwatch.time { () throws(CacheError) in try cache.remove(64..<128, from: sequence) })
    }
    for _ in 0..<repeats {
      shiftInside.add(
        try Stopwatch.time { () throws(CacheError) in try cache.remove(70..<71, from: sequence) })
    }
    for _ in 0..<repeats {
      let length = try cache.length(of: sequence) - 64
      rewind.add(
        try Stopwatch.time { () throws(CacheError) in try cache.truncate(sequence, to: length) })
    }
  }
}
