import StreamingAttention
import TestSupport
import Testing

@testable import Benchmarking

@Suite("What is compared with Double")
struct DoubleCheckTests {
  @Test(
    "every pair of types is right, whatever the other half is",
    arguments: InstructionSet.allCases.filter(\.isAvailable), ["decode", "prefill"])
  func typePairs(instructionSet: InstructionSet, mode: String) throws {
    let types = ElementType.allCases
    let values = [
      "--key-type": types.flatMap { type in types.map { _ in type.name } }.joined(separator: ","),
      "--value-type": types.flatMap { _ in types.map(\.name) }.joined(separator: ","),
      "--instruction-set": instructionSet.rawValue, "--position": "none,rope,alibi",
      "--context": "700", "--query-heads": "8",
    ]
    for keys in ["planted", "plain"] {
      var values = values
      values["--keys"] = keys
      let (records, _, error) = try RunHarness.run(mode, values)
      #expect(error == nil)
      #expect(records.count == 25 * (mode == "decode" ? 4 : 3))
      for record in records {
        #expect(record.selfCheck?.passed == true, "\(keys) \(record.json)")
      }
    }
  }

  /// One KV head's numbers, or one sequence's, a tenth too large: 4 query heads of 64 channels.
  private static let damages: [(name: String, isHit: @Sendable (Int) -> Bool)] = [
    ("KV head 1", { $0 / 64 % 4 >= 2 }), ("sequence 1", { $0 / 256 % 2 == 1 }),
  ]

  @Test(
    "a KV head or a sequence that is wrong is found, though the first of them is right",
    arguments: ["decode", "prefill", "append", "forks"], ["plain", "int8"])
  func damage(mode: String, keys: String) throws {
    for (name, isHit) in Self.damages {
      // Planted keys have an answer of their own here, and forks are sequences that differ anyway.
      if keys == "plain" && ["append", "forks"].contains(mode) { continue }
      if mode == "forks" && name == "sequence 1" { continue }
      var values = ["--position": "rope", "--key-type": keys == "plain" ? "f16" : keys]
      if keys == "plain" { values["--keys"] = keys }
      if mode != "forks" { values["--context"] = "2*300" }
      if mode == "prefill" { values["--query-length"] = "1" }
      let right = try RunHarness.run(mode, values)
      #expect(right.allPassed && right.error == nil)
      let wrong = try RunHarness.run(
        mode, values,
        damageOutput: { output in
          for index in output.indices where isHit(index) { output[index] *= 1.1 }
        })
      #expect(!wrong.allPassed && wrong.error == nil, "\(mode) \(name)")
    }
  }

  @Test("rows says how many pairs of a row and a query head were compared")
  func rows() throws {
    for (mode, rows) in [("decode", 1), ("prefill", 2)] {
      let (records, _, _) = try RunHarness.run(
        mode,
        [
          "--keys": "plain", "--position": "none", "--key-type": "f16", "--context": "3*300",
          "--repeat": "1", "--query-length": "20",
        ].filter { mode == "prefill" || $0.key != "--query-length" })
      // Decode takes one turn more than it times: two layers, and the first again for the relative error.
      let layers = mode == "decode" ? 2 : 1
      #expect(records.map(\.selfCheck?.rowCount) == [(layers + 1) * rows * 3 * 4])
    }
  }

  private static func fill(
    _ type: ElementType, seed: UInt64 = 1, positions: FillCase.Positions = .halves
  ) throws -> SyntheticFill {
    let example = FillCase(
      keyType: type, valueType: type, positions: positions, kvHeads: 2, group: 4, keyWidth: 64,
      valueWidth: 64)
    let fill = try SyntheticFill(
      engine: try example.engine(), sequences: [FillSequence(filled: 4_000)],
      options: FillOptions(seed: seed))
    _ = try fill.fill()
    return fill
  }

  @Test("an engine that reads hardly any ordinary key is wrong, whatever it makes of planted ones")
  func ordinaryKeys() throws {
    for (type, positions) in [
      (ElementType.float32, FillCase.Positions.halves), (.bfloat16, .halves), (.bfloat16, .alibi),
    ] {
      let fill = try Self.fill(type, positions: positions)
      var narrow = fill.engine.layers[0]
      narrow.window = 4
      let blind = try AttentionEngine(
        cache: fill.engine.cache, layers: [narrow], workers: fill.engine.workers,
        instructionSet: fill.engine.instructionSet)
      let queries = fill.ordinaryQueries(layer: 0)
      for (reader, isRight) in [(fill.engine, true), (blind, false)] {
        let output = try fill.output(queries: queries, for: reader)
        var check = SelfCheck()
        for kvHead in 0..<2 {
          let (error, missing) = try fill.compare(
            layer: 0, queries: queries.span, output: output.span, kvHead: kvHead)
          check.merge(
            PlainCheck.dense(
              error, missing, types: StoredTypes(key: type, value: type), reader: fill.engine,
              keyLength: fill.keyLength(
                layer: 0, sequence: 0, kvHead: kvHead, tokens: 0..<4_000, for: fill.engine)))
        }
        #expect(check.passed == isRight, "\(type) \(positions) \(check)")
      }
    }
  }

  @Test(
    "the relative error is that of ordinary keys, with any seed",
    arguments: 1...6 as ClosedRange<UInt64>)
  func seeds(seed: UInt64) throws {
    let fill = try Self.fill(.bfloat16, seed: seed)
    let queries = fill.ordinaryQueries(layer: 0)
    let output = try fill.output(queries: queries)
    var error = RelativeError()
    for kvHead in 0..<2 {
      error.merge(
        try fill.relativeError(
          layer: 0, queries: queries.span, output: output.span, kvHead: kvHead))
    }
    #expect(error.rowCount == 8)
    // Roundings of queries and probabilities to bf16, 2⁻⁸ ÷ √6 each, and √2 times that for planted keys.
    #expect(error.l2 <= (2.0 / 3).squareRoot() * 0x1p-8)
  }

  @Test("parts take turns until all have been looked at")
  func parts() {
    // All of few and short ones, in every layer.
    let few = CheckedParts(lengths: [100, 100], kvHeads: 3, layers: 2, keys: 1 << 20)
    for layer in 0..<2 {
      let parts = few.parts(ofLayer: layer)
      #expect(parts.count == 6 && Set(parts).count == 6)
    }
    // One at least of long ones; the first, the last and the middle sequence before others.
    let many = CheckedParts(
      lengths: [Int](repeating: 1_000, count: 32), kvHeads: 8, layers: 4, keys: 12_000)
    #expect(many.count == 3)
    #expect(many.parts(ofLayer: 0).map(\.sequence) == [0, 31, 16])
    #expect(Set(many.parts(ofLayer: 0).map(\.kvHead)).count == 3)
    var seen: Set<CheckedParts.Part> = []
    for layer in 0..<86 { seen.formUnion(many.parts(ofLayer: layer)) }
    #expect(seen.count == 32 * 8)
    let one = CheckedParts(lengths: [1 << 20], kvHeads: 8, layers: 8, keys: 1)
    #expect((0..<8).flatMap { one.parts(ofLayer: $0) }.map(\.kvHead) == Array(0..<8))
  }

  @Test("rows to append are the same step by step as all at once")
  func appendedRows() throws {
    let fill = try SyntheticFill(
      engine: try FillCase().engine(),
      sequences: [FillSequence(filled: 5, appended: 3), FillSequence(filled: 9, appended: 3)])
    let width = 2 * 32
    let (keys, values) = (fill.appendedKeys(layer: 0), fill.appendedValues(layer: 0))
    for step in 0..<3 {
      let own = [step, 3 + step].map { $0 * width..<($0 + 1) * width }
      #expect(fill.appendedKeys(layer: 0, step: step) == own.flatMap { keys[$0] })
      #expect(fill.appendedValues(layer: 0, step: step) == own.flatMap { values[$0] })
    }
  }
}
