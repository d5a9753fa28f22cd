import StreamingAttention
import TestSupport
import Testing

/// A sequence whose frequencies change while it grows: what is stored stays as it is, and every row sees
/// all keys turned by the frequencies of its own step.
///
/// The twin reads keys and values as they are stored, decoded where they are in codes, turns the keys of other epochs back and
/// forth in Double, and derives the bound (`ReferenceArithmetic`): f32 for pages that are turned when they are read, and where
/// codes meet integers what these may be off by.
@Suite("Changes of scaling in mid-stream")
struct ScalingChangeTests {
  /// Tokens of the context that the model was trained for, and tokens read beyond it.
  private static let (trained, more) = (131_072, 4_096)
  private static let types = AttentionFactors.types + [.int8, .int4]

  private static func example(_ type: ElementType, length: Int) -> AttentionCase {
    AttentionCase(
      instructionSet: .detected, keyType: type, valueType: type, positions: .halves,
      // One head of codes, which are slow to read back.
      group: type.isQuantized ? 1 : 2,
      kvHeads: 1, keyWidth: 32,
      valueWidth: 16, length: length, rows: 2, seed: 311)
  }

  private static func embedding(_ scaling: RotaryScaling) throws -> RotaryEmbedding {
    try RotaryEmbedding(headDimension: 32, pairing: .halves, scaling: scaling)
  }

  /// Frequencies before and after the change.
  private static func changes() throws -> [(String, [RotaryEmbedding])] {
    let longRoPE = try embedding(
      .longRoPE(
        LongRoPE(
          shortDivisors: (0..<16).map { 1 + 0.02 * Double($0) },
          longDivisors: (0..<16).map { 1 + 2 * Double($0) }, originalContext: trained,
          factor: 32)))
    return [
      (
        "YaRN",
        [
          try embedding(.yarn(YaRN(factor: 1, originalContext: trained))),
          try embedding(.yarn(YaRN(factor: 2, originalContext: trained))),
        ]
      ),
      (
        "LongRoPE",
        [longRoPE.resolved(forLength: trained), longRoPE.resolved(forLength: trained + more)]
      ),
    ]
  }

  @Test(
    "step once: YaRN from factor 1 to 2, LongRoPE from its short to its long divisors",
    arguments: types, [0, 1])
  func stepped(type: ElementType, number: Int) throws {
    let (_, rotaries) = try Self.changes()[number]
    let run = try EpochRun(
      Self.example(type, length: Self.trained + Self.more),
      EpochHistory(
        testDescription: "",
        parts: [(0, .standard), (Self.trained, SequenceRotation(epoch: 2))]),
      rotaries: rotaries, chunk: 4096)
    try Self.expectAgreement(run) { _ in rotaries[1].frequencies }
    // The bound is narrow enough to see the frequencies of before.
    #expect(try run.ratios { $0[1].frequencies = rotaries[0].frequencies }.output > 1)
  }

  /// Compares the run's rows with the twin, and those of a fork of it that has been shifted by two pages; `frequencies` are
  /// those of a length.
  private static func expectAgreement(
    _ run: EpochRun, frequencies: (Int) -> [Double]
  ) throws {
    let (length, removed) = (run.example.length, 128)
    let cache = run.harness.engine.cache
    // The pages that a step fills are in codes only after it: its own rows read them as numbers.
    let rows = cache.layers[0].isQuantized ? try run.rows() : run.result
    let ratios = try run.ratios(of: rows) { $0[1].frequencies = frequencies(length) }
    #expect(ratios.areWithinBounds, "\(ratios)")
    var fork = run
    fork.sequence = try cache.fork(run.sequence)
    try cache.remove(640..<640 + removed, from: fork.sequence)
    let shifted = try fork.ratios(
      of: fork.rows(), firstPosition: length - removed - run.example.rows
    ) {
      $0[1].frequencies = frequencies(length - removed)
    }
    // Tokens of the fork are not those of the case any more, so its stored keys are not compared with them.
    #expect(shifted.output <= 1, "\(shifted)")
    let statistics = cache.statistics()
    #expect(statistics.rewrites == 0 && statistics.copies == 0)
    if cache.layers[0].isQuantized { #expect(statistics.quantizedPages >= statistics.pages - 4) }
    #expect(cache.checkInvariants().isEmpty)
    try cache.drop(fork.sequence)
  }

  @Test(
    "follow every token: dynamic NTK, in steps of 1, 7 and 1,000",
    arguments: types, [1, 7, 1_000])
  func moving(type: ElementType, step: Int) throws {
    // The first tokens are stored as they were turned within the trained context.
    let (original, before) = (8_192, 12_000)
    let rotaries = [
      try Self.embedding(.none),
      try Self.embedding(.dynamicNTK(factor: 2, originalContext: original)),
    ]
    let history = EpochHistory(
      testDescription: "",
      parts: [(0, .standard), (original, SequenceRotation(epoch: 2, keys: .whenRead))])
    var run = try EpochRun(
      Self.example(type, length: before), history, rotaries: rotaries, chunk: 2_000)
    for _ in 0..<3 {
      try run.grow(by: step)
      try Self.expectAgreement(run) { rotaries[1].resolved(forLength: $0).frequencies }
      // A length of a thousand tokens less is told from it.
      let other = rotaries[1].resolved(forLength: run.example.length - 1_000).frequencies
      #expect(try run.ratios { $0[1].frequencies = other }.output > 1)
    }
  }

  @Test(
    "that follow the length take keys stored in their own epoch for those of its first frequencies")
  func ownEpoch() throws {
    let embedding = try Self.embedding(.dynamicNTK(factor: 2, originalContext: 300))
    let runs = try [1, 2].map { epoch in
      try EpochRun(
        Self.example(.float32, length: 700),
        EpochHistory(
          testDescription: "",
          parts: [(0, .standard), (300, SequenceRotation(epoch: epoch, keys: .whenRead))]),
        rotaries: [embedding, embedding])
    }
    // The twin knows one embedding for each epoch, so it tells the second run only.
    #expect(runs[0].result == runs[1].result)
    let ratios = try runs[1].ratios {
      $0[1].frequencies = embedding.resolved(forLength: 700).frequencies
    }
    #expect(ratios.areWithinBounds, "\(ratios)")
  }
}
