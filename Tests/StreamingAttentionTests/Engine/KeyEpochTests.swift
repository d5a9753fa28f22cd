import StreamingAttention
import TestSupport
import Testing

/// Keys that were stored unturned, or turned by frequencies that their sequence no longer uses.
@Suite("Keys of other epochs")
struct KeyEpochTests {
  static let unturned = SequenceRotation(epoch: 1, keys: .whenRead)
  static let second = SequenceRotation(epoch: 2, keys: .whenStored)
  static let third = SequenceRotation(epoch: 3, keys: .whenStored)

  /// Switches inside of pages, at their borders, and after the last token.
  static let histories = [
    EpochHistory(testDescription: "unturned", parts: [(0, unturned)]),
    EpochHistory(testDescription: "an old epoch", parts: [(0, .standard), (670, second)]),
    EpochHistory(testDescription: "only an old epoch", parts: [(0, second), (700, third)]),
    EpochHistory(
      testDescription: "everything",
      parts: [
        (0, .standard), (100, unturned), (192, second), (300, .standard), (555, unturned),
        (600, third), (690, SequenceRotation(epoch: 3, keys: .whenRead)), (696, third),
      ]),
  ]

  static let positions: [AttentionCase.Positions] = [
    .halves, .interleaved, .partial, .scaled, .rotaryALiBi,
  ]

  static let examples: [AttentionCase] = AttentionFactors.instructionSets.flatMap { set in
    AttentionFactors.types.flatMap { type in
      positions.enumerated().map { index, positions in
        AttentionCase(
          instructionSet: set, keyType: type,
          valueType: AttentionFactors.types[index % 3], positions: positions,
          // Odd widths, pairs that fill no vector, groups that fill tiles or not, and more rows than one block.
          group: [1, 3, 4, 8, 2][index], keyWidth: [64, 59, 128, 80, 32][index],
          valueWidth: [64, 45, 16, 128, 200][index], length: 700, base: 131_000,
          rows: [1, 5, 70, 3, 17][index], seed: 90 + UInt64(index))
      }
    }
  }

  @Test("stay within the bounds up to position 262,143", arguments: examples, histories)
  func againstTwin(_ example: AttentionCase, history: EpochHistory) throws {
    var example = example
    example.base = 262_143 - 699
    let run = try EpochRun(example, history)
    #expect(run.harness.engine.cache.checkInvariants().isEmpty)
    let ratios = try run.ratios()
    #expect(ratios.areWithinBounds, "\(ratios)")
  }

  @Test("stay within the bounds when parts have moved", arguments: examples)
  func moved(_ example: AttentionCase) throws {
    var example = example
    example.base = 1000
    let run = try EpochRun(example, Self.histories[3])
    try run.harness.engine.cache.rebase(run.sequence, fromEntry: 2, by: 50_000)
    try run.harness.engine.cache.rebase(run.sequence, fromEntry: 7, by: 210_443)
    let ratios = try run.ratios(of: run.rows(), firstPosition: 1700 - example.rows + 260_443)
    #expect(ratios.areWithinBounds, "\(ratios)")
  }

  @Test(
    "stay within the bounds over many leaves, among them whole ones",
    arguments: AttentionFactors.instructionSets, [0, 1])
  func long(_ instructionSet: InstructionSet, number: Int) throws {
    var example = Self.examples[0]
    example.instructionSet = instructionSet
    (example.keyType, example.valueType) = (.bfloat16, .float16)
    (example.kvHeads, example.group, example.length) = (1, 3, 9000)
    let history = [
      Self.histories[0],
      EpochHistory(testDescription: "", parts: [(0, .standard), (8700, Self.second)]),
    ][number]
    let ratios = try EpochRun(example, history).ratios()
    #expect(ratios.areWithinBounds, "\(ratios)")
  }

  @Test("are told from keys turned by slightly other frequencies", arguments: 0..<3)
  func mistakes(number: Int) throws {
    // Both bf16 on the widest vectors there are, where the bounds are the widest.
    var example = Self.examples[0]
    (example.instructionSet, example.keyType) = (.detected, .bfloat16)
    let run = try EpochRun(example, Self.histories[number])
    let old = number == 2 ? 1 : 0
    #expect(try run.ratios().output <= 1)
    // Unturned keys meet their queries over distances of 700 only, keys of an old epoch were turned by 131,000 positions.
    let part = number == 0 ? 1e-3 : 1e-5
    #expect(try run.ratios { $0[old].frequencies[2] *= 1 + part }.output > 1)
    #expect(try run.ratios { $0[old].pairing = .interleaved }.output > 1)
    if number > 0 {
      #expect(try run.ratios { $0[number].frequencies[2] *= 1 + 1e-3 }.output > 1)
      #expect(try run.ratios { $0[number].attentionFactor = 1.01 }.output > 1)
      #expect(try run.ratios { $0[old] = $0[number] }.output > 1)
    }
  }

  @Test("give bits that depend on no worker, neighbour or chunk", arguments: examples, histories)
  func bits(_ example: AttentionCase, history: EpochHistory) throws {
    let threads = ProvidedThreads(count: 3)
    let alone = try EpochRun(example, history)
    let chunked = try EpochRun(example, history, chunk: 7, workers: threads.workers)
    #expect(try chunked.rows() == alone.rows())
    // A second sequence in another epoch, before and after it.
    let cache = alone.harness.engine.cache
    let other = try alone.harness.fill(example, 200)
    try cache.setRotation(Self.third, of: other)
    let neighbour = HarnessRequest(other, example, tokens: 200..<210, rows: 0..<example.rows)
    let request = HarnessRequest(
      alone.sequence, example, tokens: 700..<700, rows: 0..<example.rows)
    let requests = [neighbour, request, neighbour]
    let expected = try alone.rows()
    #expect(try alone.harness.step([requests[0], requests[1]], commits: false)[1] == expected)
    #expect(try alone.harness.step([requests[1], requests[2]], commits: false)[0] == expected)
    #expect(threads.stop())
  }

  @Test(
    "that were stored unturned give rows of a prompt bits that do not depend on its chunks",
    arguments: examples)
  func prompt(_ example: AttentionCase) throws {
    let harness = try EngineHarness(example)
    func rows(chunk: Int) throws -> AttentionResult {
      let sequence = try harness.engine.cache.makeSequence(startingAt: example.base)
      try harness.engine.cache.setRotation(Self.unturned, of: sequence)
      var all = AttentionResult(output: [], logSumExp: [])
      for start in stride(from: 0, to: 300, by: chunk) {
        let range = start..<min(start + chunk, 300)
        all.append(
          try harness.step([HarnessRequest(sequence, example, tokens: range, rows: range)])[0])
      }
      return all
    }
    let whole = try rows(chunk: 300)
    // Few rows turn the keys of a tile in its registers, more share keys that are turned in memory.
    for chunk in [1, 2, 5, 7, 77] {
      #expect(try rows(chunk: chunk) == whole, "chunks of \(chunk)")
    }
  }

  @Test("are stored as they were given, and the next epoch opens a page that abandon takes back")
  func pages() throws {
    let example = Self.examples[0]
    let harness = try EpochRun.harness(example)
    let cache = harness.engine.cache
    let sequence = try harness.fill(example, 100)
    try cache.setRotation(Self.unturned, of: sequence)
    func entries() throws -> [LiveEntry] {
      var entries: [LiveEntry] = []
      try cache.forEachLiveEntry(of: sequence, table: 0) { entries.append($0) }
      return entries
    }
    let before = (try entries(), cache.byteCount)
    let more = HarnessRequest(sequence, example, tokens: 100..<200, rows: 0..<0)
    _ = try harness.step([more], commits: false)
    #expect(try entries() == before.0)
    #expect(cache.byteCount == before.1 && cache.checkInvariants().isEmpty)
    _ = try harness.step([more])
    let after = try entries()
    #expect(after.map(\.epoch) == [1, 1, 0, 0])
    #expect(after.map(\.slots) == [0..<64, 0..<36, 0..<64, 0..<36])
    #expect(after.map { $0.basePosition - example.base } == [0, 64, 100, 164])
    #expect(cache.checkInvariants().isEmpty)
    try harness.begin([more])
    #expect(throws: CacheError.stepInProgress) {
      try cache.setRotation(.standard, of: sequence)
    }
    harness.engine.abandon()
    #expect(try cache.rotation(of: sequence) == Self.unturned)
  }

  @Test("of an epoch that no layer describes are refused, and nothing is left behind")
  func unknownEpoch() throws {
    let example = Self.examples[0]
    let harness = try EpochRun.harness(example)
    let sequence = try harness.fill(example, 100)
    let cache = harness.engine.cache
    for epoch in [0, 4, 9, 1 << 40, -1] {
      let refusal = CacheError.invalidEpoch(received: epoch, allowed: 1...3)
      for keys in [KeyRotation.whenStored, .whenRead] {
        #expect(throws: refusal) {
          try cache.setRotation(SequenceRotation(epoch: epoch, keys: keys), of: sequence)
        }
      }
    }
    #expect(try cache.rotation(of: sequence) == .standard)
    try harness.engine.begin([StepRequest(sequence, appending: 1)])
    harness.engine.abandon()
  }

  @Test("of an epoch that is named before there is an engine are refused where a step begins")
  func unknownEpochBeforeAnEngine() throws {
    let example = Self.examples[0]
    let cache = try EngineHarness.cache(example)
    let sequence = try cache.makeSequence()
    try cache.setRotation(SequenceRotation(epoch: 4), of: sequence)
    let harness = try EngineHarness(example, cache: cache)
    let refusal = CacheError.invalidEpoch(received: 4, allowed: 1...1)
    #expect(throws: AttentionError.cache(refusal)) {
      try harness.engine.begin([StepRequest(sequence, appending: 1)])
    }
    #expect(!harness.engine.isInStep && cache.checkInvariants().isEmpty)
    #expect(throws: refusal) { try cache.setRotation(SequenceRotation(epoch: 4), of: sequence) }
    #expect(
      "\(refusal)"
        == "rotary epoch 4; allowed are 1…1, those whose frequencies the layers describe (LayerAttention.rotary and laterRotary)"
    )
    try cache.setRotation(.standard, of: sequence)
    try harness.engine.begin([StepRequest(sequence, appending: 1)])
    harness.engine.abandon()
  }

  @Test("are read as they lie by a layer without a rotation")
  func withoutRotation() throws {
    let example = Self.examples[0]
    let run = try EpochRun(example, Self.histories[0])
    var layer = run.harness.layer
    (layer.rotary, layer.laterRotary) = (nil, [])
    let reader = try AttentionEngine(
      cache: run.harness.engine.cache, layers: [layer], workers: Workers(count: 1),
      instructionSet: example.instructionSet, rotation: .any)
    try reader.begin([StepRequest(run.sequence, appending: 0, querying: example.rows)])
    defer { reader.abandon() }
    let queries = example.queries(0..<example.rows)
    var output = [Float](repeating: 0, count: example.rows * example.queryHeads * 64)
    var span = output.mutableSpan
    try reader.attend(layer: 0, queries: queries.span, into: &span)

    var plain = example
    plain.positions = .none
    let (_, expected) = try EngineHarness(plain).run(plain)
    #expect(output == expected.output)
  }
}
