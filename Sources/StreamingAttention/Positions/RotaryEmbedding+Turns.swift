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

  /// The channels of a pair in a query or key as the caller gives it.
  package func channels(ofPair pair: Int) -> (first: Int, second: Int) {
    switch pairing {
    case .interleaved: (2 * pair, 2 * pair + 1)
    case .halves: (pair, pair + pairCount)
    }
  }
}
