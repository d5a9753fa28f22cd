import StreamingAttention
import TestSupport
import Testing

@Suite("Attention at its edges")
struct AttentionEdgeTests {
  /// Both kinds of key and value storage on every instruction set.
  static let kinds: [AttentionCase] = AttentionFactors.instructionSets.flatMap { set in
    AttentionFactors.types.map { type in
      AttentionCase(
        instructionSet: set, keyType: type, valueType: type, positions: .none, group: 3,
        keyWidth: 59, valueWidth: 45, length: 650, rows: 70, seed: 31)
    }
  }

  static func sweep(_ maskings: [AttentionCase.Masking], _ positions: [AttentionCase.Positions])
    -> [AttentionCase]
  {
    kinds.flatMap { kind in
      maskings.flatMap { masking in
        positions.map { positions in
          var example = kind
          (example.masking, example.positions) = (masking, positions)
          return example
        }
      }
    }
  }

  @Test(
    "rows that see no key give zeros and −∞, or the sink",
    arguments: sweep(AttentionCase.Masking.allCases, [.none, .rotaryALiBi]))
  func noKeys(_ example: AttentionCase) throws {
    var example = example
    (example.length, example.rows, example.base) = (0, 5, 5)
    let harness = try EngineHarness(example)
    let (_, result) = try harness.run(example)
    #expect(result.output.allSatisfy { $0 == 0 })
    let sinks = try example.layer().sinks ?? Array(repeating: -.infinity, count: 6)
    #expect(result.logSumExp == Array([sinks, sinks, sinks, sinks, sinks].joined()))

    // Rows before the first key of a causal sequence see nothing either; those of its tokens do.
    guard example.masking.isCausal else { return }
    (example.length, example.rows) = (2, 5)
    let (_, mixed) = try harness.run(example)
    let width = example.queryHeads * example.valueWidth
    #expect(mixed.output[..<(3 * width)].allSatisfy { $0 == 0 })
    #expect(
      Array(mixed.logSumExp[..<(3 * example.queryHeads)]) == Array([sinks, sinks, sinks].joined()))
    #expect(!mixed.output[(3 * width)...].contains(0))
  }

  @Test("one visible key gives its value", arguments: sweep([.causal, .softcap], [.none, .alibi]))
  func oneKey(_ example: AttentionCase) throws {
    var example = example
    (example.length, example.rows) = (1, 1)
    let harness = try EngineHarness(example)
    let (sequence, result) = try harness.run(example)
    for head in 0..<example.queryHeads {
      // A weight of one, whatever the score: the value as it is stored, to the bit.
      let value = try harness.storedTokens(sequence, kvHead: head / example.group).values
      #expect(result.output(head).map(Double.init) == value)
    }
  }

  @Test(
    "NaN in a key reaches the rows that see it, whole, and no other",
    arguments: sweep([.causal, .window, .full, .softcap, .sinks], [.none, .alibi, .halves]))
  func nanKey(_ example: AttentionCase) throws {
    var marked = example
    marked.planted = [.init(part: .key, index: 590, channel: 59 + 7, number: .nan)]
    try expectNaN(marked, clean: example) { position, head, _ in
      head / example.group == 1 && example.sees(590, from: position)
    }
  }

  @Test(
    "NaN in a value reaches one channel of the rows that see it",
    arguments: sweep([.causal, .window, .full, .everything], [.none, .alibi]))
  func nanValue(_ example: AttentionCase) throws {
    for token in [589, 590] {
      var marked = example
      marked.planted = [.init(part: .value, index: token, channel: 44, number: .nan)]
      try expectNaN(marked, clean: example) { position, head, channel in
        head / example.group == 0 && channel == 44 && example.sees(token, from: position)
      }
    }
  }

  @Test(
    "NaN in a query stays in its row", arguments: sweep([.causal, .everything], [.none, .scaled]))
  func nanQuery(_ example: AttentionCase) throws {
    var marked = example
    marked.planted = [.init(part: .query, index: 20, channel: 2 * 59 + 58, number: .nan)]
    try expectNaN(marked, clean: example) { position, head, _ in
      position == example.length - example.rows + 20 && head == 2
    }
  }

  /// Output channels and log-sum-exps (channel nil) are NaN exactly where expected, elsewhere the clean case's bits.
  private func expectNaN(
    _ marked: AttentionCase, clean: AttentionCase, where isNaN: (Int, Int, Int?) -> Bool
  ) throws {
    let (_, result) = try EngineHarness(marked).run(marked)
    let (_, expected) = try EngineHarness(clean).run(clean)
    let heads = marked.queryHeads
    var wrong: [String] = []
    func check(_ number: Float, _ clean: Float, _ index: Int, _ channel: Int?) {
      let (row, head) = (index / heads, index % heads)
      let mustBeNaN = isNaN(marked.length - marked.rows + row, head, channel)
      if mustBeNaN ? !number.isNaN : number != clean {
        wrong.append("row \(row) head \(head) channel \(channel ?? -1): \(number), clean \(clean)")
      }
    }
    for index in result.logSumExp.indices {
      check(result.logSumExp[index], expected.logSumExp[index], index, nil)
      for (channel, pair) in zip(result.output(index), expected.output(index)).enumerated() {
        check(pair.0, pair.1, index, channel)
      }
    }
    #expect(wrong.isEmpty, "\(marked): \(wrong.count), first \(wrong.first ?? "")")
  }

  @Test("NaN in one sequence stays out of the others", arguments: kinds)
  func nanNeighbour(_ example: AttentionCase) throws {
    var poisoned = example
    poisoned.seed = 32
    for token in 0..<650 {
      poisoned.planted.append(.init(part: .key, index: token, channel: token % 118, number: .nan))
      poisoned.planted.append(.init(part: .value, index: token, channel: token % 90, number: .nan))
    }
    let (_, expected) = try EngineHarness(example).run(example)
    let harness = try EngineHarness(example)
    // Pages of the two lie among each other, and some have belonged to the poisoned one before.
    let dropped = try harness.fill(poisoned, 300)
    let (first, second) = (
      try harness.fill(poisoned, 0), try harness.engine.cache.makeSequence()
    )
    for start in stride(from: 0, to: 580, by: 58) {
      _ = try harness.step([
        HarnessRequest(first, poisoned, tokens: start..<start + 58, rows: 0..<0),
        HarnessRequest(second, example, tokens: start..<start + 58, rows: 0..<0),
      ])
      if start == 116 { try harness.engine.cache.drop(dropped) }
    }
    let results = try harness.step([
      HarnessRequest(first, poisoned, tokens: 580..<650, rows: 0..<70),
      HarnessRequest(second, example, tokens: 580..<650, rows: 0..<70),
    ])
    #expect(results[0].output.contains { $0.isNaN })
    #expect(results[1] == expected)
  }

  @Test(
    "a score of −∞ weighs nothing, one of +∞ gives NaN",
    arguments: sweep([.causal, .sinks], [.none]))
  func infiniteScores(_ example: AttentionCase) throws {
    var example = example
    (example.length, example.rows, example.kvHeads) = (70, 1, 1)
    let query = example.queries(0..<1)
    var marked = example
    marked.planted = [.init(part: .key, index: 66, channel: 3, number: .infinity)]
    var other = marked
    for channel in 0..<45 {
      other.planted.append(.init(part: .value, index: 66, channel: channel, number: 100))
    }
    let (_, result) = try EngineHarness(marked).run(marked)
    let (_, otherResult) = try EngineHarness(other).run(other)
    for head in 0..<3 {
      if query[head * 59 + 3] > 0 {
        #expect(result.output(head).allSatisfy(\.isNaN) && result.logSumExp[head].isNaN)
      } else {
        #expect(result.output(head).allSatisfy { $0.isFinite })
        #expect(result.output(head) == otherResult.output(head))
        #expect(result.logSumExp[head] == otherResult.logSumExp[head])
      }
    }
    // All of them −∞: as if there were no key.
    var alone = example
    (alone.length, alone.rows) = (1, 1)
    alone.planted = [.init(part: .key, index: 0, channel: 3, number: .infinity)]
    let layer = try example.layer()
    let (_, none) = try EngineHarness(alone).run(alone)
    for head in 0..<3 where query[head * 59 + 3] < 0 {
      #expect(none.output(head).allSatisfy { $0 == 0 })
      #expect(none.logSumExp[head] == layer.sinks?[head] ?? -.infinity)
    }
  }
}

extension AttentionCase {
  func sees(_ token: Int, from position: Int) -> Bool {
    (!masking.isCausal || token <= position)
      && (masking.window.map { position - token < $0 } ?? true)
  }
}
