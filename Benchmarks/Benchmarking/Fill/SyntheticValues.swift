/// Numbers that follow from a seed and their place alone: approximately normal, mean 0, variance 1.
///
/// A number is the sum of four uniform 16-bit ones, the quarters of a 64-bit hash, centred and scaled (Irwin–Hall; its
/// fourth moment is 2.7, a normal one's 3), so no number is larger than ``largest``. Eight channels on, two of the
/// quarters count negatively: two such numbers of one hash are uncorrelated. The hash is wyrand's step (Wang Yi, "wyhash",
/// 2019): the two halves of a 64 × 64-bit product, of a Weyl sequence over the channels that starts at a hash of
/// the row. There is no state: any row is there at once, on any worker.
package struct SyntheticValues: Sendable, Equatable {
  /// What a row is.
  package enum Kind: UInt64, Sendable {
    case key = 1
    case value
    case query
    case sign
  }

  /// One of the rows of a layer and head; tokens number them.
  package struct Stream: Sendable {
    fileprivate let start: UInt64
  }

  /// 2·√3: four uniforms at their end, over their deviation of 2¹⁶ ÷ √3.
  package static let largest = 3.4642

  package let seed: UInt64

  package init(seed: UInt64) { self.seed = seed }

  /// The rows of one kind, layer, head and sequence.
  package func stream(_ kind: Kind, layer: Int, head: Int, sequence: Int) -> Stream {
    var hash = Self.mixed(seed &+ Self.weylStep)
    for part in [kind.rawValue, UInt64(layer), UInt64(head), UInt64(sequence)] {
      hash = Self.mixed(hash ^ (part &+ 1) &* Self.weylStep)
    }
    return Stream(start: hash)
  }

  /// Writes the numbers of channels 0, 1, … of a token.
  package func fill(_ row: inout MutableSpan<Float>, of stream: Stream, token: Int) {
    unsafe row.withUnsafeMutableBufferPointer { row in
      guard let start = row.baseAddress else { return }
      unsafe fill(start, count: row.count, of: stream, token: token)
    }
  }

  /// Writes the numbers of channels 0..<count of a token.
  ///
  /// - Precondition: `row` holds `count` numbers.
  @unsafe func fill(_ row: UnsafeMutablePointer<Float>, count: Int, of stream: Stream, token: Int) {
    var weyl = Self.mixed(stream.start ^ UInt64(token) &* Self.weylStep)
    var hashes = SIMD8<UInt64>()
    var channel = 0
    while channel < count {
      for lane in 0..<8 {
        weyl &+= Self.weylStep
        let product = weyl.multipliedFullWidth(by: weyl ^ Self.mask)
        hashes[lane] = product.high ^ product.low
      }
      let quarters = SIMD8<UInt64>(repeating: 0x0000_ffff_0000_ffff)
      let (even, odd) = (hashes & quarters, hashes &>> 16 & quarters)
      let first = Self.numbers(even &+ odd)
      let second = Self.numbers(even &+ (quarters &- odd))
      if channel + 16 <= count {
        let target = unsafe UnsafeMutableRawPointer(row + channel)
        unsafe target.storeBytes(of: first, as: SIMD8<Float>.self)
        unsafe target.storeBytes(of: second, toByteOffset: 32, as: SIMD8<Float>.self)
      } else {
        for lane in 0..<count - channel {
          unsafe row[channel + lane] = lane < 8 ? first[lane] : second[lane - 8]
        }
      }
      channel += 16
    }
  }

  /// Eight numbers from the sums of two quarters in each half.
  @inline(__always)
  private static func numbers(_ halves: SIMD8<UInt64>) -> SIMD8<Float> {
    let sums = unsafe unsafeBitCast(halves, to: SIMD16<UInt32>.self)
    // A sum lies below 2¹⁸: in the significand of 2²³ it becomes a float without a conversion.
    let bits = (sums.evenHalf &+ sums.oddHalf) | 0x4b00_0000
    let floats = unsafe unsafeBitCast(bits, to: SIMD8<Float>.self)
    return (floats - (0x1p23 + 131_070)) * 2.642_90e-05
  }

  /// 2⁶⁴ ÷ the golden ratio, odd.
  private static let weylStep: UInt64 = 0x9e37_79b9_7f4a_7c15
  private static let mask: UInt64 = 0xd6e8_feb8_6659_fd93

  /// The finaliser of SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", §3).
  private static func mixed(_ value: UInt64) -> UInt64 {
    var value = value
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }
}
