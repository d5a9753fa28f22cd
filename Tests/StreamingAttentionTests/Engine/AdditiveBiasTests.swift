import StreamingAttention
import TestSupport
import Testing

/// Scores with a number added, and windows to the right.
///
/// Bounds: `ReferenceArithmetic`; adding a bias rounds once more, in the units
/// that the twin gives ALiBi's.
@Suite("Additive bias and right windows")
struct AdditiveBiasTests {
  static let seed: UInt64 = 20_261_128

  /// Every pair of levels, windows that have released pages among them.
  @Test("every pair of factor levels is within the derived bound", arguments: 0..<2)
  func biases(part: Int) throws {
    let maskings = AttentionCase.Masking.allCases
    let counts = [
      AttentionFactors.instructionSets.count, 3, 3, maskings.count,
      AttentionCase.Positions.allCases.count, AttentionFactors.groups.count, 3, 4, 2, 3,
    ]
    var search = WorstCase()
    for (number, levels) in Covering.pairs(of: counts, seed: Self.seed).enumerated()
    where number % 2 == part {
      try search.try(
        AttentionCase(
          instructionSet: AttentionFactors.instructionSets[levels[0]],
          keyType: AttentionFactors.types[levels[1]], valueType: AttentionFactors.types[levels[2]],
          masking: maskings[levels[3]], positions: AttentionCase.Positions.allCases[levels[4]],
          group: AttentionFactors.groups[levels[5]], kvHeads: 2,
          keyWidth: [64, 59, 128][levels[6]],
          length: [70, 513, 700, 2100][levels[7]], base: [0, 260_044][levels[8]],
          rows: [2, 17, 50][levels[9]], bias: AttentionCase.Bias.allCases[number / 8 % 2],
          rightWindow: maskings[levels[3]].isCausal ? nil : 30, seed: UInt64(number)))
    }
  }

  /// A cache with a window releases what its oldest rows saw, which the twin reads afterwards: few rows there.
  @Test("right windows, alone and with a left one", arguments: [0, 1, 63, 64, 600, 5_000])
  func rightWindows(window: Int) throws {
    var search = WorstCase()
    for (number, set) in AttentionFactors.instructionSets.enumerated() {
      for masking in [AttentionCase.Masking.full, .fullWindow] {
        try search.try(
          AttentionCase(
            instructionSet: set, keyType: AttentionFactors.types[(number + window) % 3],
            valueType: AttentionFactors.types[number % 3], masking: masking,
            positions: [.none, .halves, .rotaryALiBi][(number + window / 2) % 3], group: 2,
            length: 1_500, base: 257_000, rows: masking == .full ? 1_100 : 70,
            rightWindow: window,
            seed: UInt64(window + number)))
      }
    }
  }

  @Test(
    "a row whose biases are all −∞ gives zeros, and −∞ or its sink",
    arguments: AttentionFactors.instructionSets, AttentionCase.Bias.allCases)
  func masked(set: InstructionSet, bias: AttentionCase.Bias) throws {
    for (number, type) in AttentionFactors.types.enumerated() {
      for masking in [AttentionCase.Masking.causal, .sinks] {
        let example = AttentionCase(
          instructionSet: set, keyType: type, valueType: type, masking: masking, group: 3,
          length: 1_100, rows: 2, bias: bias, seed: UInt64(number))
        let (_, result) = try EngineHarness(example).run(example)
        let sinks = try example.layer().sinks ?? Array(repeating: -.infinity, count: 6)
        #expect((6..<12).allSatisfy { result.output($0).allSatisfy { $0 == 0 } })
        #expect(Array(result.logSumExp[6...]) == sinks)
        #expect(result.logSumExp[..<6].allSatisfy { $0.isFinite })
      }
    }
  }

  @Test("sequences of other lengths beside it change no bit")
  func batch() throws {
    let examples = [(300, 5), (700, 1), (64, 3)].map { length, rows in
      AttentionCase(
        instructionSet: .detected, keyType: .float16, valueType: .float16, positions: .halves,
        group: 3, length: length, rows: rows, bias: .perHead, seed: 9)
    }
    let harness = try EngineHarness(examples[0], workers: Workers(count: 2))
    let requests = try examples.map { example in
      let written = example.length - example.rows
      return HarnessRequest(
        try harness.fill(example, written), example, tokens: written..<example.length,
        rows: 0..<example.rows)
    }
    let together = try harness.step(requests)
    for (example, result) in zip(examples, together) {
      let (_, alone) = try EngineHarness(example).run(example)
      #expect(alone == result)
    }
  }

  @Test("a bias of another length is refused, and the step goes on")
  func lengths() throws {
    var example = AttentionCase(group: 2, length: 100, rows: 3, seed: 1)
    let harness = try EngineHarness(example)
    let request = HarnessRequest(
      try harness.fill(example, 97), example, tokens: 97..<100, rows: 0..<3)
    try harness.begin([request])
    let queries = example.queries(0..<3)
    var output = [Float](repeating: 0, count: 3 * 4 * 64)
    for count in [0, 299, 301, 1_199] {
      let bias = [Float](repeating: 0, count: count)
      var span = output.mutableSpan
      #expect(
        throws: AttentionError.length(name: "bias", received: count, allowed: 1_200)
      ) {
        try harness.engine.attend(
          layer: 0, queries: queries.span, bias: bias.span, into: &span)
      }
    }
    let plain = try harness.attend([request])
    example.bias = .shared
    let biased = try harness.attend([
      HarnessRequest(
        request.sequence, example, tokens: 97..<100, rows: 0..<3)
    ])
    #expect(plain != biased)
    harness.engine.abandon()
  }
}
