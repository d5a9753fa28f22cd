import TestSupport
import Testing

@testable import StreamingAttention

/// What engines leave in a cache, which outlives them.
@Suite("Engines that come and go over a cache")
struct EngineLifetimeTests {
  private static let example = AttentionCase(
    keyType: .float16, valueType: .float16, group: 2, length: 130, rows: 3, seed: 52)

  @Test("give up the step in which they go away", arguments: [false, true])
  func insideAStep(hasAppended: Bool) throws {
    let example = Self.example
    let cache = try EngineHarness.cache(example)
    var first: EngineHarness? = try EngineHarness(example, cache: cache)
    let sequence = try #require(try first?.fill(example, 100))
    func state() throws -> ([LiveEntry], [Int]) {
      var entries: [LiveEntry] = []
      try cache.forEachLiveEntry(of: sequence, table: 0) { entries.append($0) }
      return (entries, [cache.byteCount, cache.formulaBytes, try cache.length(of: sequence)])
    }
    let before = try state()
    let request = HarnessRequest(sequence, example, tokens: 100..<130, rows: 0..<3)
    if hasAppended {
      try first?.begin([request])
    } else {
      try first?.engine.begin([StepRequest(sequence, appending: 1_000)])
    }
    #expect(throws: CacheError.stepInProgress) { try cache.truncate(sequence, to: 0) }
    first = nil
    #expect(!cache.isStepInProgress)
    #expect(try state() == before)
    #expect(cache.checkInvariants().isEmpty)
    // The next engine goes on as if the step had never begun.
    let next = try EngineHarness(example, cache: cache)
    let (_, expected) = try EngineHarness(example).run(example)
    #expect(try next.step([request])[0] == expected)
    try cache.drop(sequence)
    #expect(cache.byteCount == 0)
  }

  @Test("leave the step of another engine alone")
  func beside() throws {
    let example = Self.example
    let cache = try EngineHarness.cache(example)
    let harness = try EngineHarness(example, cache: cache)
    var other: EngineHarness? = try EngineHarness(example, cache: cache)
    let sequence = try harness.fill(example, 100)
    try harness.begin([HarnessRequest(sequence, example, tokens: 100..<130, rows: 0..<3)])
    #expect(throws: AttentionError.cache(.stepInProgress)) {
      try other?.engine.begin([StepRequest(sequence, appending: 1)])
    }
    other = nil
    #expect(cache.isStepInProgress && harness.engine.isInStep)
    harness.engine.commit()
    #expect(try cache.length(of: sequence) == 130)
  }
}
