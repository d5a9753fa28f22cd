import StreamingAttention
import Testing

@testable import Benchmarking

@Suite("Errors that hide among roundings")
struct MissingKeysTests {
  /// 2 KV heads of 4 query heads and 64 channels over ordinary keys.
  private static func fill(_ type: ElementType, tokens: Int) throws -> SyntheticFill {
    let example = FillCase(
      keyType: type, valueType: type, kvHeads: 2, group: 4, keyWidth: 64, valueWidth: 64)
    let fill = try SyntheticFill(
      engine: try example.engine(), sequences: [FillSequence(filled: tokens)],
      options: FillOptions(needles: .none))
    _ = try fill.fill()
    return fill
  }

  /// What an output of `fill` is found to be, and its relative error, KV head by KV head.
  private static func check(
    _ output: [Float], of fill: SyntheticFill, _ type: ElementType
  ) throws -> [(check: SelfCheck, error: Double)] {
    let queries = fill.plainQueries(layer: 0)
    return try (0..<2).map { kvHead in
      let (error, missing) = try fill.compare(
        layer: 0, queries: queries.span, output: output.span, kvHead: kvHead)
      let check = PlainCheck.dense(
        error, missing, types: StoredTypes(key: type, value: type), reader: fill.engine)
      return (check, error.l2)
    }
  }

  @Test(
    "a page of a thousand that is not read is found, however coarse its codes",
    arguments: [ElementType.int4, .int8, .bfloat16])
  func unreadPage(type: ElementType) throws {
    let tokens = 65_536
    let fill = try Self.fill(type, tokens: tokens)
    var layer = fill.engine.layers[0]
    layer.window = tokens - 64
    let blind = try AttentionEngine(
      cache: fill.engine.cache, layers: [layer], workers: fill.engine.workers,
      instructionSet: fill.engine.instructionSet)
    let queries = fill.plainQueries(layer: 0)
    for (check, error) in try Self.check(fill.output(queries: queries), of: fill, type) {
      #expect(check.passed, "\(check) \(error)")
    }
    for (check, error) in try Self.check(
      fill.output(queries: queries, for: blind), of: fill, type)
    {
      #expect(!check.passed, "\(check)")
      // By its size alone it could be what int4 makes: √(64 ÷ 65,536) beside 7.5 ÷ 127.
      if type == .int4 { #expect(error < 7.5 / 127) }
    }
  }

  @Test("a stretch left out or read twice has a share of one, and any scale is found")
  func shares() throws {
    let fill = try Self.fill(.float32, tokens: 1_000)
    let queries = fill.plainQueries(layer: 0)
    let answers = try fill.answers(
      layer: 0, queries: queries.span, for: fill.engine, sequence: 0, kvHead: 0, rows: 0..<1)
    #expect(answers.count == 4 && answers[0].stretches.count == 16)
    func missing(_ output: (DoubleAttention.Answer) -> [Double]) -> MissingKeys {
      var missing = MissingKeys()
      for answer in answers {
        let output = output(answer).map { Float($0) }
        missing.add(output.span, at: 0, answer: answer)
      }
      return missing
    }
    // f32 rounds what Double has computed, and changes are a twentieth of the answer at least: 2⁻²⁴ · 20, several times over.
    let right = missing { $0.output }
    #expect(right.largestShare(above: 0) < 1e-5 && right.scaleError < 1e-6)
    #expect(right.count == 4 * 64 && (8...16).contains(right.spread))
    let without = missing { answer in
      var whole = DoubleAttention.State(output: [Double](repeating: 0, count: 64))
      for (index, state) in answer.stretches.enumerated() where index != 5 { whole.merge(state) }
      return whole.output.map { $0 / whole.denominator }
    }
    #expect((without.largestShare(above: 0) - 1).magnitude < 1e-4)
    let twice = missing { answer in
      var whole = answer.whole
      whole.merge(answer.stretches[5])
      return whole.output.map { $0 / whole.denominator }
    }
    // Its weight w counts 2·w ÷ (1 + w): a share of (1 − w) ÷ (1 + w), w being a sixteenth or somewhat more.
    #expect((0.75...0.95).contains(twice.largestShare(above: 0)))
    #expect(twice.largestShare(above: .infinity) == 0)
    let large = missing { $0.output.map { $0 * 1.01 } }
    #expect((large.scaleError - 0.01).magnitude < 1e-6)
  }

  @Test("bf16 that is too large by half of what a rounding may add is found")
  func scale() throws {
    let fill = try Self.fill(.bfloat16, tokens: 65_536)
    var output = try fill.output(queries: fill.plainQueries(layer: 0))
    for (check, error) in try Self.check(output, of: fill, .bfloat16) {
      #expect(check.passed, "\(check) \(error)")
    }
    // Six deviations along one direction of 256 numbers, over 1,024 pages: 9.5e-4 (`PlainCheck`).
    for index in output.indices { output[index] *= 1 + 0x1p-9 }
    for (check, _) in try Self.check(output, of: fill, .bfloat16) {
      #expect(!check.passed, "\(check)")
    }
  }
}
