/// A small generator of random numbers: the same seed gives the same numbers on every machine.
///
/// Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", §3, with the mixing constants of
/// Stafford's variant 13.
package struct SplitMix64: RandomNumberGenerator, Sendable {
  /// A generator of this seed goes on as this one does.
  package private(set) var counter: UInt64

  package init(seed: UInt64) { counter = seed }

  package mutating func next() -> UInt64 {
    counter &+= 0x9E37_79B9_7F4A_7C15
    var value = counter
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }

  /// A number in [0, 1) with 53 random bits.
  package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
}
