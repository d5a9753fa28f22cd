import Glibc

/// A counter-based generator: the same seed and stream give the same numbers on every machine.
///
/// SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", §3, with the
/// mixing constants of Stafford's variant 13), started at a hash of the seed and the stream's number.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var counter: UInt64

  /// Streams of one seed are independent of each other: one for each tensor of a case, say.
  package init(seed: UInt64, stream: UInt64 = 0) {
    counter = Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15) ^ Self.mix(stream &+ 0xD1B5_4A32_D192_ED03)
  }

  package mutating func next() -> UInt64 {
    counter &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(counter)
  }

  /// A number in [0, 1) with 53 random bits.
  package mutating func uniform() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  /// An integer in `range`.
  package mutating func integer(in range: Range<Int>) -> Int {
    Int.random(in: range, using: &self)
  }

  /// A number of the standard normal distribution.
  package mutating func normal() -> Double { normalPair().0 }

  /// Two numbers of the standard normal distribution, by the polar method (Marsaglia & Bray 1964), which takes no cosine: cases
  /// take many millions.
  private mutating func normalPair() -> (Double, Double) {
    while true {
      let (x, y) = (2 * uniform() - 1, 2 * uniform() - 1)
      let square = x * x + y * y
      if square >= 1 || square == 0 { continue }
      let scale = (-2 * log(square) / square).squareRoot()
      return (x * scale, y * scale)
    }
  }

  /// `count` numbers of a normal distribution with mean 0 and this deviation.
  package mutating func normalFloats(_ count: Int, deviation: Double = 1) -> [Float] {
    var numbers: [Float] = []
    numbers.reserveCapacity(count + 1)
    while numbers.count < count {
      let (x, y) = normalPair()
      numbers.append(Float(deviation * x))
      numbers.append(Float(deviation * y))
    }
    if numbers.count > count { numbers.removeLast() }
    return numbers
  }

  /// `count` numbers in [lower, upper).
  package mutating func uniformFloats(
    _ count: Int, from lower: Double = -1, to upper: Double = 1
  ) -> [Float] {
    (0..<count).map { _ in Float(lower + (upper - lower) * uniform()) }
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var value = value
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
