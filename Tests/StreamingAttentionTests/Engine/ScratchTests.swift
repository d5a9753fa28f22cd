import TestSupport
import Testing

@testable import StreamingAttention

/// What an engine keeps from step to step, and gives back.
@Suite("An engine's scratch")
struct ScratchTests {
  private static let sequenceCount = 24

  /// Rows over 512 tokens each, by a case with everything that takes scratch: rotations, a horizon, notes of attention.
  private static func example(_ seed: UInt64 = 1) -> AttentionCase {
    var example = AttentionCase()
    example.instructionSet = .detected
    example.positions = .rotaryALiBi
    (example.group, example.length, example.rows, example.seed) = (4, 1_100, 512, seed)
    return example
  }

  /// All sequences append 512 tokens and ask 16 rows each.
  private func largeStep(_ harness: EngineHarness) throws -> [AttentionResult] {
    let requests = try (0..<Self.sequenceCount).map { _ in
      HarnessRequest(
        try harness.engine.cache.makeSequence(), Self.example(), tokens: 0..<512,
        rows: 496..<512)
    }
    try harness.begin(requests, options: .notingAttention)
    let results = try harness.attend(requests)
    harness.engine.commit()
    return results
  }

  private func dropAll(_ harness: EngineHarness, _ sequences: [SequenceID]) throws {
    for sequence in sequences { try harness.engine.cache.drop(sequence) }
  }

  private func sequences(_ harness: EngineHarness) -> [SequenceID] {
    harness.engine.cache.sequences.compactMap { $0?.id }
  }

  /// Bytes of the buffers that grow with rows, pages, heads and workers.
  private func bytes(_ engine: AttentionEngine) -> Int {
    engine.plan.positions.capacity * 8 + engine.plan.entries.capacity * 40
      + engine.plan.references.capacity * 16 + engine.turns[0].tokens.capacity * 4
      + engine.turns[0].slots.capacity * 4 + engine.states.capacity * 4
      + engine.scratch.capacity + engine.noted.records.capacity * 8
      + engine.horizon.states.capacity * 4 + engine.counters.count * 4
  }

  @Test("goes with the last sequence, and the steps after it have the bits of a new engine")
  func lastDrop() throws {
    let harness = try EngineHarness(Self.example())
    let empty = bytes(harness.engine)
    #expect(empty < 16 << 10)
    let results = try largeStep(harness)
    let all = sequences(harness)
    // 512 positions × 64 numbers for each sequence are its rotations alone.
    let grown = bytes(harness.engine)
    #expect(grown > Self.sequenceCount * 512 * 64 * 4)
    try dropAll(harness, Array(all.dropLast()))
    #expect(bytes(harness.engine) == grown)
    try dropAll(harness, [all[all.count - 1]])
    #expect(bytes(harness.engine) == empty)
    #expect(harness.engine.cache.byteCount == 0)
    #expect(try largeStep(harness) == results)
    #expect(harness.engine.cache.checkInvariants() == [])
  }

  @Test("is given back between any two steps, and changes no bit of those that follow")
  func release() throws {
    let (harness, twin) = (try EngineHarness(Self.example()), try EngineHarness(Self.example()))
    _ = try largeStep(harness)
    _ = try largeStep(twin)
    let first = (sequences(harness)[0], sequences(twin)[0])
    for start in [512, 513, 600] {
      let tokens = start..<(start == 513 ? 600 : start + 1)
      harness.engine.releaseScratch()
      let rows = tokens.upperBound - 1..<tokens.upperBound
      let results = try harness.step([
        HarnessRequest(first.0, Self.example(), tokens: tokens, rows: rows)
      ])
      #expect(
        try twin.step([HarnessRequest(first.1, Self.example(), tokens: tokens, rows: rows)])
          == results)
      #expect(bytes(harness.engine) < bytes(twin.engine) / 2)
    }
  }

  @Test("is that of each engine of the cache, and an engine's life does not depend on it")
  func engines() throws {
    let harness = try EngineHarness(Self.example())
    let cache = harness.engine.cache
    weak var gone: AttentionEngine?
    do {
      let other = try EngineHarness(Self.example(), cache: cache)
      gone = other.engine
      _ = try largeStep(other)
      _ = try largeStep(harness)
      try dropAll(harness, sequences(harness))
      #expect(bytes(other.engine) < 16 << 10 && bytes(harness.engine) < 16 << 10)
    }
    #expect(gone == nil)
    _ = try largeStep(harness)
    try dropAll(harness, sequences(harness))
    #expect(bytes(harness.engine) < 16 << 10)
  }
}
