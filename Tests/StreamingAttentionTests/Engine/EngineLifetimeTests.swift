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

  // MARK: Frequencies

  private static func rotary(base: Double = 10_000, _ scaling: RotaryScaling = .none) throws
    -> RotaryEmbedding
  {
    try RotaryEmbedding(headDimension: 64, base: base, pairing: .halves, scaling: scaling)
  }

  /// A harness whose epochs have these frequencies.
  private static func harness(
    _ rotaries: [RotaryEmbedding], _ cache: KVCache
  ) throws -> EngineHarness {
    var layer = try example.layer()
    (layer.rotary, layer.laterRotary) = (rotaries[0], Array(rotaries.dropFirst()))
    return try EngineHarness(example, layer: layer, cache: cache)
  }

  /// What a harness answers to the last token, once some have been removed in the middle of a page.
  private func answerAfterRemoval(
    _ harness: EngineHarness, _ sequence: SequenceID
  ) throws -> AttentionResult {
    try harness.engine.cache.remove(5..<9, from: sequence)
    let last = HarnessRequest(sequence, Self.example, tokens: 100..<101, rows: 0..<1)
    return try harness.step([last])[0]
  }

  private func refusal(
    epoch: Int = 1, _ received: RotaryEmbedding, _ allowed: RotaryEmbedding
  ) -> AttentionError {
    .cache(.otherFrequencies(layer: 0, epoch: epoch, received: received, allowed: allowed))
  }

  @Test("are refused where keys would be turned by two kinds of frequencies")
  func otherFrequencies() throws {
    let (own, other) = (try Self.rotary(), try Self.rotary(base: 500_000))
    let alone = try Self.harness([own], try EngineHarness.cache(Self.example))
    let expected = try answerAfterRemoval(alone, try alone.fill(Self.example, 100))

    let cache = try EngineHarness.cache(Self.example)
    var first: EngineHarness? = try Self.harness([own], cache)
    let sequence = try #require(try first?.fill(Self.example, 100))
    let fork = try cache.fork(sequence)
    // Also when the one that wrote the keys is gone.
    for _ in 0..<2 {
      #expect(throws: refusal(other, own)) { try Self.harness([other], cache) }
      // Only the frequencies count: equal ones may follow the length later on.
      let equal = try Self.harness(
        [try Self.rotary(.dynamicNTK(factor: 2, originalContext: 1_000))], cache)
      #expect(equal.engine.rotaries[0][0].frequencies == own.frequencies)
      first = nil
    }
    let second = try Self.harness([own], cache)
    #expect(try answerAfterRemoval(second, sequence) == expected)
    try cache.drop(sequence)
    try cache.drop(fork)
    #expect(throws: refusal(other, own)) { try Self.harness([other], cache) }
    #expect(
      "\(refusal(other, own))"
        == "layer 0: an engine of other rotary frequencies in epoch 1 than the cache's: base 500000.0, not 10000.0, "
        + "pair 1 by \(other.frequencies[1]) radians per token, not \(own.frequencies[1]); "
        + "use the same, describe the others as a later epoch, or make a cache of its own")
    extendLifetime(second)
  }

  @Test("may turn keys differently from those before where no page is left, and nobody else is")
  func emptyCache() throws {
    let (own, other) = (try Self.rotary(), try Self.rotary(base: 500_000))
    let alone = try Self.harness([other], try EngineHarness.cache(Self.example))
    let expected = try answerAfterRemoval(alone, try alone.fill(Self.example, 100))
    for count in [0, 100] {
      let cache = try EngineHarness.cache(Self.example)
      var first: EngineHarness? = try Self.harness([own, other], cache)
      let sequence = try #require(try first?.fill(Self.example, count))
      #expect(throws: refusal(other, own)) { try Self.harness([other], cache) }
      first = nil
      if count > 0 { try cache.drop(sequence) }
      let next = try Self.harness([other], cache)
      #expect(cache.rewriter.rotaries == [[other]])
      #expect(try answerAfterRemoval(next, try next.fill(Self.example, 100)) == expected)
    }
  }

  @Test("may know more epochs than those before, or fewer")
  func laterEpochs() throws {
    let (one, two, three) = (
      try Self.rotary(), try Self.rotary(.linear(factor: 2)), try Self.rotary(.linear(factor: 3))
    )
    func run(_ cache: KVCache, then: [RotaryEmbedding]? = nil) throws -> AttentionResult {
      var first: EngineHarness? = try Self.harness([one], cache)
      let sequence = try #require(try first?.fill(Self.example, 70))
      do {
        // An epoch more, beside the first engine; it and the next ones are then to agree about that too.
        let second = try Self.harness([one, three], cache)
        #expect(throws: refusal(epoch: 2, two, three)) { try Self.harness([one, two], cache) }
        extendLifetime(second)
      }
      first = nil
      // No page is of that epoch: nobody has to.
      var third: EngineHarness? = try Self.harness([one, two], cache)
      try cache.setRotation(SequenceRotation(epoch: 2), of: sequence)
      _ = try third?.step([HarnessRequest(sequence, Self.example, tokens: 70..<100, rows: 0..<0)])
      if let then {
        third = nil
        #expect(throws: refusal(epoch: 2, three, two)) { try Self.harness([one, three], cache) }
        // It knows less, and the cache goes on to turn the keys of both epochs.
        _ = try Self.harness(then, cache)
        #expect(cache.rewriter.rotaries == [[one, two]])
        third = try Self.harness([one, two], cache)
      }
      try cache.remove(75..<78, from: sequence)
      return try answerAfterRemoval(try #require(third), sequence)
    }
    let expected = try run(try EngineHarness.cache(Self.example))
    #expect(try run(try EngineHarness.cache(Self.example), then: [one]) == expected)
  }

  @Test("read as they like where they only measure")
  func readers() throws {
    let own = try Self.rotary()
    let cache = try EngineHarness.cache(Self.example)
    let harness = try Self.harness([own], cache)
    let sequence = try harness.fill(Self.example, 100)
    var layer = try Self.example.layer()
    for rotary in [nil, try Self.rotary(base: 500_000)] {
      layer.rotary = rotary
      let reader = try AttentionEngine(
        cache: cache, layers: [layer], workers: Workers(count: 1),
        instructionSet: Self.example.instructionSet, rotation: .any)
      try reader.begin([StepRequest(sequence, appending: 0, querying: 1)])
      reader.abandon()
      #expect(cache.rewriter.rotaries == [[own]])
    }
  }
}
