import StreamingAttention
import TestSupport
import Testing

/// Entries keep the anchors that their keys were turned against when they move; queries make up for it.
@Suite("Attention over moved sequences")
struct MovedSequenceTests {
  static let examples: [AttentionCase] = AttentionFactors.instructionSets.flatMap { set in
    AttentionCase.Positions.allCases.map { positions in
      AttentionCase(
        instructionSet: set, keyType: .float16, valueType: .bfloat16, positions: positions,
        group: 3, keyWidth: 64, valueWidth: 32, length: 700, base: 1000, rows: 5, seed: 41)
    }
  }

  @Test(
    "a sequence moved as a whole stays within the bounds", arguments: examples, [-1000, 261_143])
  func whole(_ example: AttentionCase, delta: Int) throws {
    let harness = try EngineHarness(example)
    let (sequence, before) = try harness.run(example)
    try harness.engine.cache.rebase(sequence, by: delta)
    let request = HarnessRequest(sequence, example, tokens: 700..<700, rows: 0..<5)
    let after = try harness.step([request])[0]
    let ratios = try example.ratios(
      of: after, sequence, in: harness, firstPosition: 1695 + delta)
    #expect(ratios.areWithinBounds, "\(ratios)")
    // Without positions nothing is computed anew.
    if example.positions == .none || example.positions == .alibi { #expect(after == before) }
  }

  @Test(
    "parts of a sequence moved by different distances stay within the bounds", arguments: examples)
  func parts(_ example: AttentionCase) throws {
    let harness = try EngineHarness(example)
    let sequence = try harness.fill(example, 600)
    // Entries in three runs of anchors, inside a leaf and across leaves; the newest run then grows.
    try harness.engine.cache.rebase(sequence, fromEntry: 3, by: 50_000)
    try harness.engine.cache.rebase(sequence, fromEntry: 8, by: 210_443)
    var fewer = example
    fewer.length = 600
    let request = HarnessRequest(sequence, example, tokens: 600..<600, rows: 0..<5)
    let moved = try harness.step([request])[0]
    let ratios = try fewer.ratios(
      of: moved, sequence, in: harness, firstPosition: 1595 + 260_443)
    #expect(ratios.areWithinBounds, "\(ratios)")

    let growing = HarnessRequest(sequence, example, tokens: 600..<700, rows: 0..<5)
    let grown = try harness.step([growing])[0]
    let grownRatios = try example.ratios(
      of: grown, sequence, in: harness, firstPosition: 1695 + 260_443)
    #expect(grownRatios.areWithinBounds, "\(grownRatios)")
  }

  @Test("an additive bias counts the keys, wherever they have moved", arguments: examples)
  func biased(_ example: AttentionCase) throws {
    var example = example
    example.bias = .perHead
    let harness = try EngineHarness(example)
    let (sequence, _) = try harness.run(example)
    try harness.engine.cache.rebase(sequence, fromEntry: 3, by: 50_000)
    try harness.engine.cache.rebase(sequence, fromEntry: 8, by: 210_443)
    let request = HarnessRequest(sequence, example, tokens: 700..<700, rows: 0..<5)
    let moved = try harness.step([request])[0]
    let ratios = try example.ratios(
      of: moved, sequence, in: harness, firstPosition: 1695 + 260_443)
    #expect(ratios.areWithinBounds, "\(ratios)")
  }

  @Test("parts that move back leave the bits as they were", arguments: examples)
  func back(_ example: AttentionCase) throws {
    let harness = try EngineHarness(example)
    let (sequence, before) = try harness.run(example)
    try harness.engine.cache.rebase(sequence, fromEntry: 4, by: 12_345)
    try harness.engine.cache.rebase(sequence, fromEntry: 4, by: -12_345)
    let request = HarnessRequest(sequence, example, tokens: 700..<700, rows: 0..<5)
    #expect(try harness.step([request])[0] == before)
  }

  @Test("ALiBi counts a distance of 262,143 exactly", arguments: AttentionFactors.instructionSets)
  func farALiBi(instructionSet: InstructionSet) throws {
    // Slopes down to 2⁻¹⁸, so that keys at such a distance still weigh.
    let layer = LayerAttention(
      queryHeads: 4, alibi: try ALiBi(slopes: [0x1p-12, 0x1p-15, 0x1p-18, 0]))
    let example = AttentionCase(
      instructionSet: instructionSet, keyType: .bfloat16, positions: .alibi, group: 2,
      length: 128, rows: 1, seed: 42)
    let harness = try EngineHarness(example, layer: layer)
    let sequence = try harness.fill(example, 127)
    // The first page stays at 0…63, the second ends at 262,143 with its next token.
    try harness.engine.cache.rebase(sequence, fromEntry: 1, by: 262_143 - 127)
    let request = HarnessRequest(sequence, example, tokens: 127..<128, rows: 0..<1)
    let result = try harness.step([request])[0]
    let ratios = try example.ratios(
      of: result, sequence, in: harness, firstPosition: 262_143)
    #expect(ratios.areWithinBounds, "\(ratios)")
    let mistake = TwinMistake(testDescription: "", example: example, positionShift: 1)
    let wrong = try example.ratios(
      of: result, sequence, in: harness, firstPosition: 262_143, mistake: mistake)
    #expect(wrong.output > 1)
  }
}
