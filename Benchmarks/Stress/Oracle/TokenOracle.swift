import Benchmarking
import StreamingAttention
import Synchronization

/// Attention of some query heads of one KV head over the naive list of a sequence's tokens, in Double.
struct TokenOracle: Sendable {
  let rows: TokenRows
  let layer: Int
  /// Query heads of one group.
  let heads: [Int]
  let attention: LayerAttention
  let types: StoredTypes

  private var kvHead: Int { heads[0] / (attention.queryHeads / rows.shape.kvHeads) }

  /// The states of the query heads, asked from the newest position; `queries` is `[head][channel]`.
  ///
  /// Where `stored` is given, keys and values are as they are stored.
  ///
  /// - Throws: `failed` where those are not what was given.
  func states(
    over list: TokenList, queries: [[Float]], workers: Workers, stored: StoredTokens? = nil
  ) throws(StressError) -> [OracleState] {
    let run = 1_024
    let results = Mutex<[Int: [OracleState]]>([:])
    let failure = Mutex<StressError?>(nil)
    // SAFETY: pages are only read, and nothing writes them before the call returns.
    nonisolated(unsafe) let stored = stored
    workers.forEachIndex(below: (list.count + run - 1) / run) { index, _ in
      let tokens = index * run..<min((index + 1) * run, list.count)
      do throws(StressError) {
        let states = try unsafe self.states(
          over: tokens, of: list, queries: queries, stored: stored)
        results.withLock { $0[index] = states }
      } catch {
        failure.withLock { $0 = $0 ?? error }
      }
    }
    if let error = failure.withLock({ $0 }) { throw error }
    let runs = results.withLock { $0 }
    var whole = queries.map { _ in OracleState(width: rows.shape.headDimension) }
    for index in 0..<runs.count {
      guard let states = runs[index] else { continue }
      for head in whole.indices { whole[head].merge(states[head]) }
    }
    return whole
  }

  private func states(
    over tokens: Range<Int>, of list: TokenList, queries: [[Float]], stored: StoredTokens?
  ) throws(StressError) -> [OracleState] {
    let (width, kvHead) = (rows.shape.headDimension, kvHead)
    let scale = 1 / Double(width).squareRoot()
    let units = RoundingUnits(types)
    let asked = queries.map { $0.map { Double($0) * scale } }
    let squares = asked.map(pairSquares)
    let lengths = asked.map { $0.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let longest = squares.map { ($0.max() ?? 0).squareRoot() }
    var own = StoredTokens.Token()
    let newest = list.position(of: list.count - 1)
    var states = queries.map { _ in OracleState(width: width) }
    var (keyRow, valueRow) = (
      [Float](repeating: 0, count: width), [Float](repeating: 0, count: width)
    )
    var value = [Double](repeating: 0, count: width)
    var turn = PairTurns(attention.rotary)
    let oldest = list.count - min(list.count, attention.window ?? .max)
    for index in tokens where index >= oldest && !list.areEvicted[index] {
      var keySpan = keyRow.mutableSpan
      rows.fillKey(&keySpan, layer: layer, kvHead: kvHead, token: list.tokens[index])
      var valueSpan = valueRow.mutableSpan
      rows.fillValue(&valueSpan, layer: layer, kvHead: kvHead, token: list.tokens[index])
      var key = keyRow.map(Double.init)
      let distance = list.count - 1 - index
      for channel in 0..<width { value[channel] = types.value.stored(Double(valueRow[channel])) }
      if let stored {
        guard stored.read(index, into: &own) else {
          throw .failed("no page holds token \(index) of \(list.count)")
        }
        if let defect = stored.defect(own, index, of: list, key: key, value: value) {
          throw .failed("layer \(layer), KV head \(kvHead): \(defect)")
        }
        (key, value) = (own.key, own.value)
      }
      turn.turn(&key, by: stored == nil ? -distance : own.anchor - newest)
      let keySquares = pairSquares(key)
      var square = 0.0
      for channel in 0..<width { square += value[channel] * value[channel] }
      for head in heads.indices {
        var (score, product) = (0.0, 0.0)
        for channel in 0..<width { score += asked[head][channel] * key[channel] }
        for pair in keySquares.indices { product += keySquares[pair] * squares[head][pair] }
        let rewrites = list.rewrites[index]
        var error =
          stored == nil
          ? 4 * units.score(rewrites: rewrites) * product.squareRoot()
            + 4 * units.codeError(units.keyCode, rewrites: rewrites) * lengths[head]
          : 4 * units.storedScore * product.squareRoot()
            + 4
            * units.integerError(
              longest: longest[head], width: width, keyScale: own.keyScale)
        if let slope = attention.alibi?.slopes[heads[head]] {
          score -= Double(slope) * Double(distance)
        }
        error += 4 * Rounding.f32 * (score.magnitude + 16)
        states[head].add(
          score: score, error: error, value: value, square: square,
          codeError: stored == nil ? units.codeError(units.valueCode, rewrites: rewrites) : 0)
      }
    }
    return states
  }

  /// x² + y² of every pair that turns, then x² of the channels that do not: turning changes none of them.
  private func pairSquares(_ row: [Double]) -> [Double] {
    let pairs = attention.rotary?.pairCount ?? 0
    var result: [Double] = []
    result.reserveCapacity(row.count - pairs)
    if let rotary = attention.rotary {
      for pair in 0..<pairs {
        let (first, second) = rotary.channels(ofPair: pair)
        result.append(row[first] * row[first] + row[second] * row[second])
      }
    }
    for channel in 2 * pairs..<row.count { result.append(row[channel] * row[channel]) }
    return result
  }
}

/// R(distance) of one distance after the other.
///
/// A cosine and a sine take as long as ten tokens: the next distance is reached by turning once more, 64 times at most.
private struct PairTurns {
  private let rotary: RotaryEmbedding?
  private let steps: [(cosine: Double, sine: Double)]
  private var turns: [(cosine: Double, sine: Double)] = []
  private var distance = Int.min
  private var age = 0

  init(_ rotary: RotaryEmbedding?) {
    self.rotary = rotary
    steps = rotary.map { rotary in rotary.rates.map { $0.turn(by: 1) } } ?? []
  }

  /// Turns a row in the caller's order of channels.
  mutating func turn(_ row: inout [Double], by wanted: Int) {
    guard let rotary else { return }
    if wanted == distance, !turns.isEmpty {
      // As the token before: stored keys of one anchor.
    } else if wanted == distance &+ 1, age < 64 {
      for pair in turns.indices {
        let (turn, step) = (turns[pair], steps[pair])
        turns[pair] = (
          turn.cosine * step.cosine - turn.sine * step.sine,
          turn.sine * step.cosine + turn.cosine * step.sine
        )
      }
      age += 1
    } else {
      turns = rotary.rates.map { $0.turn(by: wanted) }
      age = 0
    }
    distance = wanted
    for pair in turns.indices {
      let (first, second) = rotary.channels(ofPair: pair)
      let (x, y, turn) = (row[first], row[second], turns[pair])
      row[first] = x * turn.cosine - y * turn.sine
      row[second] = x * turn.sine + y * turn.cosine
    }
  }
}
