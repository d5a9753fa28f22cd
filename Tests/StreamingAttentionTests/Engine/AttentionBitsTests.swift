import StreamingAttention
import TestSupport
import Testing

/// Outputs and log-sum-exps do not depend on who computes what, together with what: `==`, never a bound.
@Suite("The bits of attention")
struct AttentionBitsTests {
  /// Every pair of key and value type on every instruction set.
  static let kinds: [AttentionCase] = AttentionFactors.instructionSets.flatMap { set in
    AttentionFactors.types.flatMap { keyType in
      AttentionFactors.types.map { valueType in
        AttentionCase(
          instructionSet: set, keyType: keyType, valueType: valueType, group: 3, keyWidth: 59,
          valueWidth: 45, length: 1700, base: 1000, rows: 9, seed: 11)
      }
    }
  }

  /// One kind per masking, each with other positions.
  static let maskings: [AttentionCase] = AttentionCase.Masking.allCases.enumerated().map {
    number, masking in
    let positions = AttentionCase.Positions.allCases
    return AttentionCase(
      instructionSet: AttentionFactors.instructionSets[
        number % AttentionFactors.instructionSets.count],
      keyType: AttentionFactors.types[number % 3],
      valueType: AttentionFactors.types[number / 3 % 3], masking: masking,
      positions: positions[number % positions.count], group: 4, keyWidth: 32, valueWidth: 64,
      length: 1700, base: 131_000, rows: 9, seed: 12)
  }

  /// Quantised keys and values, with few rows for each head and with many.
  static let quantized: [AttentionCase] = AttentionFactors.instructionSets.flatMap { set in
    [(ElementType.int8, ElementType.int4, 1), (.int4, .int8, 9), (.float16, .int8, 3)].map {
      AttentionCase(
        instructionSet: set, keyType: $0, valueType: $1, group: 3, keyWidth: 59, valueWidth: 45,
        length: 1700, base: 1000, rows: $2, seed: 14)
    }
  }

  @Test(
    "are those of one worker for 2 to 8 workers that all take tiles",
    arguments: kinds + maskings + quantized)
  func workers(_ example: AttentionCase) throws {
    var example = example
    // A window leaves one tile for each sequence and KV head, a horizon some.
    let leavesOut = example.positions == .alibi || example.positions == .rotaryALiBi
    if example.masking.window != nil || leavesOut { example.kvHeads = 8 }
    // Three leaves of 16 entries, for each sequence and KV head.
    example.length = max(example.length, 2_100)
    let single = try EngineHarness(example)
    let written = example.length - example.rows
    var other = example
    (other.seed, other.rows) = (13, 1)
    let requests = [
      HarnessRequest(
        try single.fill(example, written), example, tokens: written..<example.length,
        rows: 0..<example.rows),
      HarnessRequest(
        try single.fill(other, other.length - 1), other, tokens: other.length - 1..<other.length,
        rows: 0..<1),
    ]
    let expected = try single.step(requests, commits: false)
    for count in 2...8 {
      let threads = ProvidedThreads(count: count)
      let harness = try EngineHarness(
        example, cache: single.engine.cache, workers: threads.workers)
      try harness.begin(requests)
      threads.workers.resetTakenCounts()
      let results = try harness.attend(requests)
      let taken = threads.workers.takenCounts
      #expect(taken.allSatisfy { $0 > 0 }, "\(taken)")
      #expect(results == expected, "\(count) workers")
      harness.engine.abandon()
      #expect(threads.stop())
    }
  }

  @Test(
    "are the same whether pages are widened and memory is asked for ahead",
    arguments: kinds + maskings + quantized, [true, false])
  func traits(_ example: AttentionCase, dotsPairs: Bool) throws {
    // Times the group: few rows, by sevens, eights or neither, up to a page's pass for itself, more than a block.
    for rows in [1, 3, 5, 7, 8, 17, 30] {
      var example = example
      example.rows = rows
      let tokens = example.length - min(rows, example.length)..<example.length
      let cache = try EngineHarness.cache(example)
      let sequence = try EngineHarness(example, cache: cache).fill(example, tokens.lowerBound)
      let last = HarnessRequest(sequence, example, tokens: tokens, rows: 0..<rows)
      var results: [AttentionResult] = []
      for requests in ProcessorTraits.Requests.allCases {
        for widensPages in [false, true] {
          example.chosenTraits = ProcessorTraits(
            requests: requests, widensPages: widensPages, dotsPairs: dotsPairs)
          results += try EngineHarness(example, cache: cache).step([last], commits: false)
        }
      }
      #expect(results.allSatisfy { $0 == results[0] }, "\(rows) rows")
    }
  }

  /// Panels of 64 channels and stored rows by fours, which tiles of their own take with AVX-512.
  @Test(
    "of whole panels are those of each row alone", arguments: AttentionFactors.instructionSets,
    [(64, 64), (64, 96), (128, 80)])
  func panels(_ instructionSet: InstructionSet, widths: (key: Int, value: Int)) throws {
    for (keyType, valueType) in zip(
      AttentionFactors.types + [.float16], AttentionFactors.types + [.bfloat16])
    {
      for dotsPairs in [false, true] {
        var example = AttentionCase(
          instructionSet: instructionSet, keyType: keyType, valueType: valueType, group: 1,
          kvHeads: 1, keyWidth: widths.key, valueWidth: widths.value, length: 700, base: 1000,
          rows: 0, seed: 15)
        let cache = try EngineHarness.cache(example)
        var sequences: [SequenceID] = []
        var alone: [AttentionResult] = []
        for requests in ProcessorTraits.Requests.allCases {
          for widensPages in [false, true] {
            example.chosenTraits = ProcessorTraits(
              requests: requests, widensPages: widensPages, dotsPairs: dotsPairs)
            let harness = try EngineHarness(example, cache: cache)
            if sequences.isEmpty {
              sequences = try [harness.fill(example, 600), harness.fill(example, 600)]
              for token in 600..<700 {
                let rows = token..<token + 1
                alone += try harness.step([
                  HarnessRequest(sequences[0], example, tokens: rows, rows: rows)
                ])
              }
            }
            for count in Array(2...8) + [14, 16] + Array(17...33) + [97] {
              let rows = 600..<600 + count
              let together = try harness.step(
                [HarnessRequest(sequences[1], example, tokens: rows, rows: rows)], commits: false)
              var expected = AttentionResult(output: [], logSumExp: [])
              for row in alone[..<count] { expected.append(row) }
              #expect(
                together[0] == expected, "\(keyType) \(valueType) \(requests) \(count) rows")
            }
          }
        }
      }
    }
  }

  /// Blocks of tiles over whole pages, whose softmax is taken while other tiles are multiplied: of pages that come from memory with up to 32 rows,
  /// of others with more, and what is left of those.
  @Test(
    "of many rows are those of each row alone, whatever enters their softmax",
    arguments: AttentionFactors.instructionSets, AttentionFactors.types)
  func manyRows(_ instructionSet: InstructionSet, keyType: ElementType) throws {
    for (number, positions) in AttentionCase.Positions.allCases.enumerated() {
      for valueType in Set([keyType, AttentionFactors.types[number / 2 % 3]]) {
        var example = AttentionCase(
          instructionSet: instructionSet, keyType: keyType, valueType: valueType,
          masking: [.causal, .softcap][number % 2], positions: positions,
          group: [1, 2][number / 2 % 2], kvHeads: 1, keyWidth: [64, 128][number % 2],
          valueWidth: [128, 64][number / 4 % 2], length: 700, base: 131_000, rows: 0,
          bias: [nil, .perHead, .shared][number % 3], seed: 16)
        // Scores that m follows late, and those of which nothing is a number.
        example.planted = [
          .init(part: .key, index: 400, channel: 3, number: 300),
          .init(part: .query, index: 611, channel: 1, number: .nan),
        ]
        // One half of the rows then has a score of +∞, the other half one of −∞.
        if number == 2 {
          example.planted.append(.init(part: .key, index: 300, channel: 2, number: .infinity))
        }
        example.chosenTraits = ProcessorTraits(requests: .none, widensPages: false, dotsPairs: true)
        let harness = try EngineHarness(example)
        let sequence = try harness.fill(example, 600)
        let again = try harness.fill(example, 600)
        let alone = try (600..<697).map { token in
          try harness.step([
            HarnessRequest(sequence, example, tokens: token..<token + 1, rows: token..<token + 1)
          ])[0]
        }
        for requests in ProcessorTraits.Requests.allCases {
          example.chosenTraits = ProcessorTraits(
            requests: requests, widensPages: false, dotsPairs: true)
          let asking = try EngineHarness(example, cache: harness.engine.cache)
          for count in [10, 13, 16, 20, 21, 26, 32, 36, 42, 97] {
            let rows = 600..<600 + count
            let together = try asking.step(
              [HarnessRequest(again, example, tokens: rows, rows: rows)], commits: false)[0]
            var expected = AttentionResult(output: [], logSumExp: [])
            for row in alone[..<count] { expected.append(row) }
            #expect(together.isIdentical(to: expected), "\(positions) \(requests) \(count) tokens")
          }
        }
      }
    }
  }

  @Test(
    "of a sequence are the same alone and among others", arguments: kinds + maskings + quantized)
  func neighbours(_ example: AttentionCase) throws {
    // A length, new tokens and rows for each sequence; one has no token at all, one asks for nothing.
    let shapes = [(700, 1, 1), (1700, 9, 9), (1, 1, 1), (0, 0, 2), (130, 70, 70), (64, 3, 0)]
    let examples = shapes.enumerated().map { number, shape in
      var other = example
      (other.length, other.seed) = (shape.0, 20 + UInt64(number))
      return other
    }
    let workers = ProvidedThreads(count: 2, sharing: .firstCome)
    let harness = try EngineHarness(example, workers: workers.workers)
    var requests: [HarnessRequest] = []
    var alone: [AttentionResult] = []
    for (other, shape) in zip(examples, shapes) {
      let written = other.length - shape.1
      let request = HarnessRequest(
        try harness.fill(other, written), other, tokens: written..<other.length,
        rows: 0..<shape.2)
      requests.append(request)
      alone += try harness.step([request], commits: false)
    }
    let orders = [[0, 1, 2, 3, 4, 5], [3, 4, 0, 5, 2, 1], [5, 3, 2, 1, 0, 4], [3, 0], [1, 3]]
    for order in orders {
      let results = try harness.step(order.map { requests[$0] }, commits: false)
      for (result, number) in zip(results, order) {
        #expect(result == alone[number], "sequence \(number) in \(order)")
      }
    }
  }

  @Test("of decoding do not depend on the chunks of the prompt", arguments: kinds + maskings)
  func chunks(_ example: AttentionCase) throws {
    var example = example
    (example.length, example.rows) = (1101, 1)
    let harness = try EngineHarness(example)
    let (_, whole) = try harness.run(example, chunk: 1100)
    for chunk in [1, 7, 64, 1000] {
      #expect(try harness.run(example, chunk: chunk).1 == whole, "chunks of \(chunk)")
    }
  }

  @Test(
    "of a prompt's rows do not depend on its chunks",
    arguments: (kinds + maskings).filter(\.masking.isCausal))
  func prefill(_ example: AttentionCase) throws {
    var example = example
    example.length = 1101
    let harness = try EngineHarness(example)
    func rows(chunk: Int) throws -> AttentionResult {
      let sequence = try harness.engine.cache.makeSequence(startingAt: example.base)
      var all = AttentionResult(output: [], logSumExp: [])
      for start in stride(from: 0, to: example.length, by: chunk) {
        let range = start..<min(start + chunk, example.length)
        all.append(
          try harness.step([HarnessRequest(sequence, example, tokens: range, rows: range)])[0])
      }
      return all
    }
    let whole = try rows(chunk: example.length)
    for chunk in [1, 7, 8, 64, 1000] {
      #expect(try rows(chunk: chunk) == whole, "chunks of \(chunk)")
    }
  }

  @Test("of decoding beyond 8,192 tokens, where leaves grow, do not depend on chunks or workers")
  func longDecode() throws {
    let example = AttentionCase(
      instructionSet: .detected, keyType: .float16, valueType: .bfloat16, group: 3, kvHeads: 1,
      keyWidth: 32, valueWidth: 32, length: 8190, rows: 0, seed: 14)
    let threads = ProvidedThreads(count: 3)
    let harnesses = [
      try EngineHarness(example), try EngineHarness(example, workers: threads.workers),
    ]
    let sequences = [
      try harnesses[0].fill(example, example.length, chunk: 8190),
      try harnesses[1].fill(example, example.length, chunk: 1000),
    ]
    for token in example.length..<example.length + 5 {
      let results = try zip(harnesses, sequences).map { harness, sequence in
        try harness.step([
          HarnessRequest(sequence, example, tokens: token..<token + 1, rows: token..<token + 1)
        ])
      }
      #expect(results[0] == results[1], "token \(token)")
    }
  }

  @Test("are the same after a step was given up, and when it is repeated", arguments: kinds)
  func abandon(_ example: AttentionCase) throws {
    let (first, second) = (try EngineHarness(example), try EngineHarness(example))
    let sequences = try [first, second].map { try $0.fill(example, 640) }
    var other = example
    other.seed = 99
    // Two pages of other tokens, which nobody may find afterwards.
    _ = try first.step(
      [HarnessRequest(sequences[0], other, tokens: 0..<100, rows: 0..<9)], commits: false)
    #expect(first.engine.cache.checkInvariants() == [])
    #expect(first.engine.cache.byteCount == second.engine.cache.byteCount)
    let requests = sequences.map {
      HarnessRequest($0, example, tokens: 640..<700, rows: 0..<9)
    }
    let once = try first.step([requests[0]], commits: false)
    #expect(try first.step([requests[0]]) == once)
    #expect(try second.step([requests[1]]) == once)
  }
}
