import StreamingAttention

/// What edits of one long sequence cost in all layers: its pages are taken, and hardly any is ever written.
struct EditTimes {
  /// What is timed, by its name in the records.
  enum Edit: String, CaseIterable {
    case fork
    case drop
    /// Removals of one whole page's tokens near the beginning.
    case shift
    /// Removals of one token near the beginning: a page set is written anew.
    case shiftInside = "shift-inside"
    /// Rewinds by one page.
    case rewind
  }

  private var samples: [Edit: Samples] = [:]
  /// Pages that the forks took in all.
  private(set) var forkedPages = 0

  static let layers = 32

  subscript(edit: Edit) -> Samples { samples[edit] ?? Samples() }

  private let cancellation: CancellationFlag

  /// The shortest sequence that has a page of its own for each repetition at the beginning, for each inside, and for each at the end.
  static func shortestLength(repeats: Int) -> Int { (3 * repeats + 4) * PageLayout.slots }

  init(
    shape: AttentionShape, types: StoredTypes, length: Int, repeats: Int, workers: Workers,
    cancellation: CancellationFlag
  ) throws(BenchmarkError) {
    self.cancellation = cancellation
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
    var held = 0
    while held < length {
      try checkInterrupt()
      let count = min(4_096, length - held)
      try BenchmarkError.wrapping { () throws(CacheError) in
        cache.commitUnwritten(try cache.reserve([SlotRequest(sequence, appending: count)]))
      }
      held += count
    }
    try measure(cache, sequence, repeats: repeats)
  }

  private func checkInterrupt() throws(BenchmarkError) {
    if cancellation.isCancelled { throw .interrupted }
  }

  /// Times one edit; an interrupt comes before it.
  private mutating func time(
    _ edit: Edit, _ body: () throws(CacheError) -> Void
  ) throws(BenchmarkError) {
    try checkInterrupt()
    let nanoseconds = try BenchmarkError.wrapping { () throws(CacheError) in
      try Stopwatch.time(body)
    }
    samples[edit, default: Samples()].add(nanoseconds)
  }

  private mutating func measure(
    _ cache: KVCache, _ sequence: SequenceID, repeats: Int
  ) throws(BenchmarkError) {
    // Tables that are copied or edited grow to their size once.
    try BenchmarkError.wrapping { () throws(CacheError) in
      try cache.drop(try cache.fork(sequence))
      try cache.remove(64..<128, from: sequence)
    }
    let pages = cache.statistics().pages
    var forks: [SequenceID] = []
    for _ in 0..<repeats {
      try time(.fork) { () throws(CacheError) in forks.append(try cache.fork(sequence)) }
    }
    forkedPages = cache.statistics().pages - pages
    for copy in forks { try time(.drop) { () throws(CacheError) in try cache.drop(copy) } }
    for _ in 0..<repeats {
      try time(.shift) { () throws(CacheError) in try cache.remove(64..<128, from: sequence) }
    }
    try BenchmarkError.wrapping { () throws(CacheError) in
      try cache.remove(70..<71, from: sequence)
    }
    for number in 1...repeats {
      // Seven tokens into the next whole page, each page before it being one token short: where a removal has split a page, another beside it
      // would only trim.
      let token = 70 + 63 * number
      try time(.shiftInside) { () throws(CacheError) in
        try cache.remove(token..<token + 1, from: sequence)
      }
    }
    for _ in 0..<repeats {
      try time(.rewind) { () throws(CacheError) in
        try cache.truncate(sequence, to: try cache.length(of: sequence) - 64)
      }
    }
  }
}
