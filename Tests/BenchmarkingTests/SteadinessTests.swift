import Testing

@testable import Benchmarking

@Suite("When a record counts")
struct SteadinessTests {
  private func sample(_ read: Double, scaling: Double = 2) -> LimitSample {
    LimitSample(read: read, multiplyAdd: 100 * scaling, multiplyAddOfOne: 100, bfloatDot: 50)
  }

  @Test(
    "read limits within a tenth of their mean, and nine tenths of perfect scaling",
    arguments: [
      (28.5, 31.5, 2.0, true), (28.4, 31.6, 2.0, false), (30, 30, 1.8, true),
      (30, 30, 1.79, false), (31.5, 28.5, 2.4, true),
    ])
  func counts(before: Double, after: Double, scaling: Double, isSteady: Bool) {
    let limits = MeasuredLimits(
      before: sample(before), after: sample(after, scaling: scaling))
    #expect(limits.isSteady(threads: 2) == isSteady)
    #expect(limits.read == (before + after) / 2)
  }

  @Test("one thread scales perfectly by definition")
  func oneThread() {
    let limits = MeasuredLimits(before: sample(14, scaling: 1), after: sample(14, scaling: 1))
    #expect(limits.isSteady(threads: 1))
    #expect(!limits.isSteady(threads: 2))
  }

  @Test("the peak of dots is unknown where either side is")
  func missingDots() {
    var before = sample(30)
    before.bfloatDot = nil
    #expect(MeasuredLimits(before: before, after: sample(30)).bfloatDot == nil)
  }

  /// Measures with read limits that come one after the other.
  private func measure(_ reads: [Double], attempts: Int) -> (Steadied<Int>, unused: Int) {
    var (rest, runs) = (reads[...], 0)
    let result = Steadied<Int>.measuring(
      threads: 2, attempts: attempts, limits: { sample(rest.popFirst() ?? .nan) }
    ) {
      runs += 1
      return runs
    }
    return (result, rest.count)
  }

  @Test("a steady machine is measured once")
  func once() {
    let (result, unused) = measure([30, 31], attempts: 3)
    #expect(result.isSteady && result.attempts == 1 && result.value == 1)
    #expect(unused == 0)
  }

  @Test("the limits after one attempt are those before the next")
  func again() {
    let (result, unused) = measure([30, 40, 41], attempts: 3)
    #expect(result.isSteady && result.attempts == 2 && result.value == 2)
    #expect(result.limits.before.read == 40 && result.limits.after.read == 41)
    #expect(unused == 0)
  }

  @Test("a machine that never holds still keeps its last attempt, marked")
  func never() {
    let (result, unused) = measure([30, 40, 30, 40, 30], attempts: 3)
    #expect(!result.isSteady && result.attempts == 3 && result.value == 3)
    #expect(unused == 1)
  }

  @Test("limits that are not numbers are not steady")
  func notANumber() {
    let (result, _) = measure([30], attempts: 1)
    #expect(!result.isSteady)
  }
}
