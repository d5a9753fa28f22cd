import StreamingAttention
import TestSupport
import Testing

@Suite("Attention against its slow twin")
struct AttentionAgainstTwinTests {
  static let seed: UInt64 = 20_261_125

  /// All pairs of factor levels, and random cases up to 150 in all.
  static func cases() -> [AttentionCase] {
    var cases = Covering.pairs(of: AttentionFactors.counts, seed: seed).enumerated().map {
      AttentionFactors.example($1, seed: UInt64($0))
    }
    var generator = SeededGenerator(seed: seed, stream: 1)
    while cases.count < 150 {
      cases.append(AttentionFactors.random(using: &generator, seed: UInt64(cases.count)))
    }
    return cases
  }

  @Test("every pair of factor levels is within the derived bound", arguments: 0..<4)
  func pairs(part: Int) throws {
    var search = WorstCase()
    for (number, example) in Self.cases().enumerated() where number % 4 == part {
      try search.try(example)
    }
  }

  @Test("a twin that makes a mistake is found out", arguments: TwinMistake.all)
  func mistakes(_ mistake: TwinMistake) throws {
    let example = mistake.example
    let harness = try EngineHarness(example)
    let (sequence, result) = try harness.run(example)
    #expect(try example.ratios(of: result, sequence, in: harness).areWithinBounds)
    let ratios = try example.ratios(of: result, sequence, in: harness, mistake: mistake)
    #expect(ratios.output > 1, "\(ratios)")
  }

  @Test("leaves of 32 pages begin beyond 8,192 tokens", arguments: [8192, 8193, 12_345])
  func largeLeaves(length: Int) throws {
    var search = WorstCase()
    for positions in [AttentionCase.Positions.halves, .alibi] {
      try search.try(
        AttentionCase(
          instructionSet: .detected, keyType: .float16, valueType: .float16, positions: positions,
          group: 3, kvHeads: 1, keyWidth: 32, valueWidth: 32, length: length, rows: 2, seed: 6))
    }
  }

  @Test("scores of ±10,000 overflow nothing", arguments: AttentionFactors.instructionSets)
  func hugeScores(instructionSet: InstructionSet) throws {
    var search = WorstCase()
    for type in AttentionFactors.types {
      for masking in [AttentionCase.Masking.causal, .window, .sinks, .softcap] {
        // Scores have the keys' deviation.
        try search.try(
          AttentionCase(
            instructionSet: instructionSet, keyType: type, valueType: type, masking: masking,
            group: 3, length: 200, rows: 3, seed: 8, keyDeviation: 4000))
      }
    }
  }
}
