import StreamingAttention

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Attention of some rows of one KV head's group in Double, over pages as they are stored.
struct DoubleAttention: Sendable {
  /// One query head at one position.
  struct Row: Sendable {
    var position: Int
    var slope: Double
    var sink: Double?
    /// In the caller's order of channels.
    var query: [Double]
  }

  /// The softmax over some keys: o ÷ ℓ is the output.
  struct State: Sendable {
    var maximum = -Double.infinity
    var denominator = 0.0
    var output: [Double]

    mutating func merge(_ other: State) {
      guard other.denominator > 0 else { return }
      let top = max(maximum, other.maximum)
      let (left, right) = (exp(maximum - top), exp(other.maximum - top))
      denominator = denominator * left + other.denominator * right
      for channel in output.indices {
        output[channel] = output[channel] * left + other.output[channel] * right
      }
      maximum = top
    }
  }

  /// What a row should get.
  struct Answer: Sendable {
    var whole: State
    /// The parts that make it, sinks left out.
    var stretches: [State]

    var output: [Double] {
      whole.denominator > 0 ? whole.output.map { $0 / whole.denominator } : whole.output
    }
  }

  let rows: [Row]
  /// What turns the queries, and the frequencies of epoch 1, which may have turned keys.
  let rotary: RotaryEmbedding?
  let firstRotary: RotaryEmbedding?
  let epoch: Int
  let scale: Double
  let softcap: Double?
  let isCausal: Bool
  let window: Int

  /// The states over some entries, `[row][stretch]`, each of so many entries.
  func states(
    over entries: ArraySlice<LiveEntry>, in pages: StoredPages, stretch: Int
  ) -> [[State]] {
    let width = pages.valueWidth
    let none = State(output: [Double](repeating: 0, count: width))
    var states = [[State]](
      repeating: Array(repeating: none, count: (entries.count + stretch - 1) / stretch),
      count: rows.count)
    var (keys, values): ([Double], [Double]) = ([], [])
    var scores = [Double](repeating: 0, count: PageLayout.slots)
    let channels = pages.channels(rotary)
    var anchor: Int?
    var queries: [[Double]] = []
    for (number, entry) in entries.enumerated() {
      pages.readKeys(of: entry, into: &keys)
      var keyAnchor = entry.anchor
      if let rotary, entry.epoch != epoch {
        turn(&keys, entry, by: rotary, channels: channels)
        keyAnchor = 0
      }
      if anchor != keyAnchor {
        queries = rows.map { prepared($0, anchor: keyAnchor, channels: channels) }
        anchor = keyAnchor
      }
      pages.readValues(of: entry, into: &values)
      for (index, row) in rows.enumerated() {
        Self.multiply(queries[index], keys, &scores)
        advance(&states[index][number / stretch], row, entry, &scores, values, width)
      }
    }
    return states
  }

  /// Turns stored keys of another epoch, `[row][slot]`, into what `rotary` makes of the original ones at their
  /// positions: R(position)·R′(anchor − position), R′ being the rotation that they were stored with, if any.
  private func turn(
    _ keys: inout [Double], _ entry: LiveEntry, by rotary: RotaryEmbedding, channels: [Int]
  ) {
    var rows = [Int](repeating: 0, count: channels.count)
    for (row, channel) in channels.enumerated() where channel >= 0 { rows[channel] = row }
    let slots = PageLayout.slots
    let old = entry.epoch == 0 ? nil : firstRotary
    for pair in 0..<rotary.pairCount {
      let (first, second) = rotary.channels(ofPair: pair)
      let (x, y) = (rows[first] * slots, rows[second] * slots)
      for slot in entry.slots {
        let position = entry.basePosition + slot
        let back = old?.rates[pair].turn(by: entry.anchor - position) ?? (cosine: 1, sine: 0)
        let forth = rotary.rates[pair].turn(by: position)
        let (u, v) = (keys[x + slot], keys[y + slot])
        let (a, b) = (u * back.cosine - v * back.sine, u * back.sine + v * back.cosine)
        keys[x + slot] = a * forth.cosine - b * forth.sine
        keys[y + slot] = a * forth.sine + b * forth.cosine
      }
    }
  }

  /// A query turned towards keys of an anchor and scaled, in the order of stored rows.
  private func prepared(_ row: Row, anchor: Int, channels: [Int]) -> [Double] {
    var query = rotary?.turned(row.query, by: row.position - anchor) ?? row.query
    if let rotary {
      let factor = rotary.attentionFactor * rotary.attentionFactor
      for pair in 0..<rotary.pairCount {
        let (first, second) = rotary.channels(ofPair: pair)
        query[first] *= factor
        query[second] *= factor
      }
    }
    return channels.map { $0 < 0 ? 0 : query[$0] * scale }
  }

  /// Scores of 64 slots: `keys` is `[row][slot]`.
  private static func multiply(_ query: [Double], _ keys: [Double], _ scores: inout [Double]) {
    let (query, keys) = (query.span, keys.span)
    var scores = scores.mutableSpan
    for slot in scores.indices { scores[slot] = 0 }
    for row in query.indices {
      let q = query[row]
      guard q != 0 else { continue }
      for slot in 0..<PageLayout.slots { scores[slot] += q * keys[row * PageLayout.slots + slot] }
    }
  }

  private func advance(
    _ state: inout State, _ row: Row, _ entry: LiveEntry, _ scores: inout [Double],
    _ values: [Double], _ width: Int
  ) {
    var top = -Double.infinity
    for slot in scores.indices {
      let distance = row.position - entry.basePosition - slot
      let isSeen = entry.slots.contains(slot) && (!isCausal || distance >= 0) && distance < window
      if let softcap { scores[slot] = softcap * tanh(scores[slot] / softcap) }
      scores[slot] = isSeen ? scores[slot] - row.slope * Double(distance.magnitude) : -.infinity
      top = max(top, scores[slot])
    }
    guard top > -.infinity else { return }
    if top > state.maximum {
      let factor = exp(state.maximum - top)
      state.denominator *= factor
      for channel in 0..<width { state.output[channel] *= factor }
      state.maximum = top
    }
    let (values, maximum) = (values.span, state.maximum)
    for slot in scores.indices where scores[slot] > -.infinity {
      let weight = exp(scores[slot] - maximum)
      state.denominator += weight
      var output = state.output.mutableSpan
      for channel in 0..<width { output[channel] += weight * values[slot * width + channel] }
    }
  }
}
