import Glibc

/// The slow twin of rotary embeddings: angles, cosines and sines in Double.
///
/// position · frequency is rounded once, so at position 262,143 an angle is off by 3e-11 rad.
package struct ReferenceRotation: Sendable {
  /// Which channels form a pair.
  package enum Pairing: Sendable {
    /// Channels (2i, 2i + 1).
    case interleaved
    /// Channels (i, i + pairs).
    case halves
  }

  /// Radians per token of each pair.
  package var frequencies: [Double]
  package var pairing: Pairing
  /// a, on cosines and sines of queries and keys.
  package var attentionFactor: Double

  package init(frequencies: [Double], pairing: Pairing, attentionFactor: Double = 1) {
    self.frequencies = frequencies
    self.pairing = pairing
    self.attentionFactor = attentionFactor
  }

  package func channels(ofPair pair: Int) -> (Int, Int) {
    pairing == .halves ? (pair, pair + frequencies.count) : (2 * pair, 2 * pair + 1)
  }

  /// R(distance)·x, without the attention factor; channels beyond the pairs pass through.
  package func turned(_ x: [Double], by distance: Int) -> [Double] {
    var result = x
    for (pair, frequency) in frequencies.enumerated() {
      let (first, second) = channels(ofPair: pair)
      let angle = Double(distance) * frequency
      let (cosine, sine) = (cos(angle), sin(angle))
      result[first] = x[first] * cosine - x[second] * sine
      result[second] = x[first] * sine + x[second] * cosine
    }
    return result
  }

  /// For each channel what turning cannot change: the length of its pair, or |x| where nothing turns.
  package func magnitudes(of x: [Double]) -> [Double] {
    var result = x.map(\.magnitude)
    for pair in frequencies.indices {
      let (first, second) = channels(ofPair: pair)
      let length = (x[first] * x[first] + x[second] * x[second]).squareRoot()
      (result[first], result[second]) = (length, length)
    }
    return result
  }
}
