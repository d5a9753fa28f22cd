import Benchmarking
import StreamingAttention

/// A cache and its engine beside the naive twin: one list of tokens for each sequence.
///
/// Every operation is done to both; one that the cache refuses leaves both as they were.
final class StressSubject {
  /// One sequence and its twin.
  struct Pair {
    let id: SequenceID
    /// Counts from 1, for people.
    let number: Int
    var list: TokenList
  }

  /// As asked for, with the memory limit that the cache has: a cache made by them has the same one.
  let options: StressOptions
  let cache: KVCache
  let engine: AttentionEngine
  let rows: TokenRows
  var pairs: [Pair] = []
  /// Tokens that were handed out; each is another one.
  var tokenCount: UInt32 = 0
  /// Operations done to sequences, for their names.
  private var sequenceCount = 0
  /// Whether steps note the attention that pages have had, as some policies need.
  var notesAttention = false
  /// Called with the output of every attention before it is compared, for tests that damage it.
  var damage: ((inout [Float]) -> Void)?

  // Rows of one layer, used again.
  var keys: [Float] = []
  var values: [Float] = []

  /// An empty cache, whose layers see the newest `window` tokens and keep no others, or all.
  init(_ options: StressOptions, window: Int? = nil) throws(BenchmarkError) {
    let shape = options.shape
    let layers = options.layers
    let pairing = RotaryPairing.halves
    let stored = LayerShape(
      kvHeads: shape.kvHeads, keyWidth: shape.headDimension, keyType: options.types.key,
      valueType: options.types.value,
      keyPositions: options.position.turns
        ? .rotary(pairs: shape.headDimension / 2, pairing: pairing) : .none,
      retention: window.map(Retention.window) ?? .everything)
    let cache = try BenchmarkError.wrapping { () throws(CacheError) in
      try KVCache(
        layers: Array(repeating: stored, count: layers), memoryLimit: options.memoryLimit,
        fullPrecision: options.fullPrecision)
    }
    self.cache = cache
    var settled = options
    settled.memoryLimit = cache.memoryLimit
    self.options = settled
    let attention = try Self.attention(options, window: window, pairing: pairing)
    engine = try BenchmarkError.wrapping { () throws(AttentionError) in
      try AttentionEngine(
        cache: cache, layers: Array(repeating: attention, count: layers),
        workers: Workers(count: options.threads), instructionSet: options.instructionSet)
    }
    rows = TokenRows(shape: shape, layers: layers, seed: options.seed)
  }

  private static func attention(
    _ options: StressOptions, window: Int?, pairing: RotaryPairing
  ) throws(BenchmarkError) -> LayerAttention {
    let shape = options.shape
    do throws(PositionError) {
      let rotary =
        options.position.turns
        ? try RotaryEmbedding(
          headDimension: shape.headDimension, rotaryDimensions: shape.headDimension / 2 * 2,
          base: 500_000, pairing: pairing) : nil
      return LayerAttention(
        queryHeads: shape.queryHeads, window: window, rotary: rotary,
        alibi: options.position.isBiased ? try ALiBi(headCount: shape.queryHeads) : nil)
    } catch {
      throw .option(name: "--position", received: options.position.rawValue, allowed: "\(error)")
    }
  }

  var attention: LayerAttention { engine.layers[0] }

  /// How many of the newest tokens the layers see; nil for all.
  var window: Int? { attention.window }

  /// Tokens of the longest sequence.
  var longest: Int { pairs.reduce(0) { max($0, $1.list.count) } }

  /// Bytes of a page set, in codes if it is quantised: one page of every layer and KV head.
  var setBytes: Int {
    cache.layers.indices.reduce(0) {
      $0 + cache.layers[$1].kvHeads * cache.codedLayout(ofLayer: $1).pageBytes
    }
  }

  /// Lets go of the rows, which the next step makes anew.
  func releaseRows() { (keys, values) = ([], []) }

  /// The most that the cache's tables hold once so many bytes of pages have been live: 24 bytes for each page, 8 for each extent of a
  /// column and 128 for each page set, and as much again, since tables double.
  ///
  /// Documentation/Cache.md, “Memory”, with the errors of quantised pages, the numbers of free sets and extents of one page.
  func tableBytes(ofPages byteCount: Int) -> Int {
    let columns = cache.layers.reduce(0) { $0 + $1.kvHeads }
    return 2 * (byteCount / setBytes + 1) * (32 * columns + 128)
  }

  // MARK: Operations

  /// Begins a sequence whose first token stands at `position`.
  func add(startingAt position: Int) throws(StressError) {
    let id = try StressError.wrapping { () throws(CacheError) in
      try cache.makeSequence(startingAt: position)
    }
    enter(id, TokenList(base: position))
  }

  /// Takes a sequence of the cache in.
  func enter(_ id: SequenceID, _ list: TokenList) {
    sequenceCount += 1
    pairs.append(Pair(id: id, number: sequenceCount, list: list))
  }

  func drop(_ index: Int) throws(StressError) {
    let id = pairs[index].id
    try StressError.wrapping { () throws(CacheError) in try cache.drop(id) }
    pairs.remove(at: index)
  }
}
