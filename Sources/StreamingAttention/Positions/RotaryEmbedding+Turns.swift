extension RotaryEmbedding {
  /// Writes cosines and sines of every pair for each distance, `[distance][cos: pairs | sin: pairs]`.
  ///
  /// The phase is exact (`TurnRate`), so any distance is as good as another, negative ones too; f32 rounding of the
  /// result (2⁻²⁵) is all that remains. The attention factor is not in it.
  ///
  /// - Precondition: `turns` holds 2 · pairs · distances numbers.
  package func fillTurns(distances: Span<Int>, into turns: inout MutableSpan<Float>) {
    let pairs = pairCount
    precondition(turns.count == 2 * pairs * distances.count, "\(turns.count) numbers")
    let rates = rates.span
    for row in distances.indices {
      let (cosines, distance) = (2 * pairs * row, distances[row])
      for pair in 0..<pairs {
        let turn = rates[pair].turn(by: distance)
        turns[cosines + pair] = Float(turn.cosine)
        turns[cosines + pairs + pair] = Float(turn.sine)
      }
    }
  }

  /// Writes cosines and sines of R(distance)·R′(otherDistance), R′ being the rotation of `other`, none if nil.
  ///
  /// `[cos: pairs | sin: pairs]` from `turns[first]` on. Turns of a pair commute and their phases are added exactly, so one f32
  /// rounding is all that remains, as in ``fillTurns(distances:into:)``.
  ///
  /// - Precondition: There is room, and `other` has as many pairs.
  package func fillTurn(
    distance: Int, after other: RotaryEmbedding?, by otherDistance: Int, at first: Int,
    into turns: inout MutableSpan<Float>
  ) {
    let pairs = pairCount
    precondition(other.map { $0.pairCount == pairs } ?? true)
    for pair in 0..<pairs {
      let phase =
        rates[pair].phase(of: distance) &+ (other?.rates[pair].phase(of: otherDistance) ?? 0)
      let turn = TurnRate.turn(ofPhase: phase)
      turns[first + pair] = Float(turn.cosine)
      turns[first + pairs + pair] = Float(turn.sine)
    }
  }

  /// Writes cosines and sines of R(slot)·R′(−slot) for the 64 slots of a page, `[pair][cos: 64 | sin: 64]` from
  /// `turns[first]` on: what is left to do to keys that `other` turned, or nobody if nil.
  ///
  /// - Precondition: There is room, and `other` has as many pairs.
  package func fillSlotTurns(
    after other: RotaryEmbedding?, at first: Int, into turns: inout MutableSpan<Float>
  ) {
    let slots = 64
    precondition(other.map { $0.pairCount == pairCount } ?? true)
    for pair in 0..<pairCount {
      let step = rates[pair].phase(of: 1) &- (other?.rates[pair].phase(of: 1) ?? 0)
      for slot in 0..<slots {
        let turn = TurnRate.turn(ofPhase: UInt64(slot) &* step)
        turns[first + 2 * slots * pair + slot] = Float(turn.cosine)
        turns[first + 2 * slots * pair + slots + slot] = Float(turn.sine)
      }
    }
  }

  /// The channels of a pair in a query or key as the caller gives it.
  package func channels(ofPair pair: Int) -> (first: Int, second: Int) {
    switch pairing {
    case .interleaved: (2 * pair, 2 * pair + 1)
    case .halves: (pair, pair + pairCount)
    }
  }
}
