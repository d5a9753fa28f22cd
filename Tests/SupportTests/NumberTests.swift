import TestSupport
import Testing

@Suite("Seeded numbers and closeness")
struct NumberTests {
  @Test("the same seed and stream give the same numbers, others give others")
  func seeds() {
    func first(_ seed: UInt64, _ stream: UInt64) -> UInt64 {
      var generator = SeededGenerator(seed: seed, stream: stream)
      return generator.next()
    }
    #expect(first(1, 2) == first(1, 2))
    #expect(Set([first(1, 2), first(2, 1), first(1, 1), first(2, 2), first(0, 0)]).count == 5)
  }

  @Test("normal numbers have mean 0 and deviation 1")
  func normal() {
    var generator = SeededGenerator(seed: 7)
    let values = generator.normalFloats(100_000).map(Double.init)
    let mean = values.reduce(0, +) / 100_000
    let variance = values.reduce(0) { $0 + $1 * $1 } / 100_000 - mean * mean
    // Standard errors: 1 ÷ √N = 0.0032 for the mean, √(2 ÷ N) = 0.0045 for the variance; five of each.
    #expect(abs(mean) < 0.016)
    #expect(abs(variance - 1) < 0.023)
  }

  @Test("closeness counts units in the last place, and NaN is close to nothing")
  func ulps() {
    #expect(Float(1).nextUp.isClose(to: 1, ulps: 1))
    #expect(!Float(1).nextUp.nextUp.isClose(to: 1, ulps: 1))
    #expect(!Double.nan.isClose(to: .nan, ulps: 1_000))
    #expect(!Double.infinity.isClose(to: .greatestFiniteMagnitude, ulps: 1_000))
    #expect((-Float.infinity).isClose(to: -.infinity, ulps: 0))
  }

  @Test("a distance names its worst element and does not lose a NaN")
  func distance() {
    let distance = Distance(of: [1, 2.5, 3] as [Float], to: [1, 2, 3.25] as [Double])
    #expect(distance.maximum == 0.5)
    #expect(distance.index == 1)
    #expect(distance.mean == 0.25)
    #expect(Distance(of: [.nan, 9] as [Float], to: [1, 2] as [Float]).maximum.isNaN)
    #expect(Distance(of: [9, .nan] as [Float], to: [1, 2] as [Float]).index == 1)
    #expect(Distance(of: [0] as [Float], to: [0] as [Float]).relativeL2 == 0)
  }
}
