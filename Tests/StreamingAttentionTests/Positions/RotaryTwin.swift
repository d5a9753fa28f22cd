import StreamingAttention

extension RotaryEmbedding {
  /// R(distance)·x as the engine does it: the f32 turns of `fillTurns`, times the attention factor.
  func turned(_ vector: [Double], by distance: Int, times factor: Double = 1) -> [Double] {
    let turns = turns([distance])
    var result = vector
    for pair in 0..<pairCount {
      let (cosine, sine) = (Double(turns[pair]) * factor, Double(turns[pairCount + pair]) * factor)
      let (first, second) = channels(ofPair: pair)
      result[first] = vector[first] * cosine - vector[second] * sine
      result[second] = vector[first] * sine + vector[second] * cosine
    }
    return result
  }

  /// `fillTurns` into an array.
  func turns(_ distances: [Int]) -> [Float] {
    var turns = [Float](repeating: .nan, count: 2 * pairCount * distances.count)
    var span = turns.mutableSpan
    fillTurns(distances: distances.span, into: &span)
    return turns
  }
}
