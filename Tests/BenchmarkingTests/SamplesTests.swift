import Testing

@testable import Benchmarking

@Suite("Times of repetitions")
struct SamplesTests {
  @Test("minimum, median and p95 of one to a hundred")
  func quantiles() {
    let samples = Samples(nanoseconds: (1...100).map { UInt64($0) * 1_000_000 }.reversed())
    #expect(samples.minimumMilliseconds == 1)
    #expect(samples.medianMilliseconds == 50.5)
    #expect(samples.p95Milliseconds == 95)
    #expect(samples.p99Milliseconds == 99)
  }

  @Test("one sample is every quantile")
  func single() {
    let samples = Samples(nanoseconds: [3_000_000])
    #expect(samples.minimumMilliseconds == 3)
    #expect(samples.medianMilliseconds == 3)
    #expect(samples.p95Milliseconds == 3)
  }
}
