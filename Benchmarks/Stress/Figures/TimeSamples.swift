import Benchmarking
import Generation

/// Times of the same work: all of them, or an even choice where there are very many.
struct TimeSamples: Sendable {
  private static let most = 1 << 16

  private(set) var count = 0
  private(set) var maximumNanoseconds: UInt64 = 0
  private var kept: [UInt64] = []
  private var random = SplitMix64(seed: 1)

  mutating func add(_ nanoseconds: UInt64) {
    count += 1
    maximumNanoseconds = max(maximumNanoseconds, nanoseconds)
    guard kept.count == Self.most else {
      kept.append(nanoseconds)
      return
    }
    // Vitter 1985, "Random sampling with a reservoir", algorithm R.
    let place = random.next() % UInt64(count)
    if place < UInt64(Self.most) { kept[Int(place)] = nanoseconds }
  }

  /// Bytes of those that are kept.
  var keptBytes: Int { kept.capacity * MemoryLayout<UInt64>.stride }

  /// The median and others, in milliseconds.
  var quantiles: Samples { Samples(nanoseconds: kept) }
}
