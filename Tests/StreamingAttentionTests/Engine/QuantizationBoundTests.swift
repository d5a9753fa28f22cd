import TestSupport
import Testing

@testable import StreamingAttention

@Suite("How far quantised pages move an output")
struct QuantizationBoundTests {
  static let positions: [AttentionCase.Positions] = [.none, .halves, .interleaved, .scaled, .alibi]

  private static func example(
    _ types: (ElementType, ElementType), _ positions: AttentionCase.Positions, length: Int
  ) -> AttentionCase {
    AttentionCase(
      instructionSet: .detected, keyType: types.0, valueType: types.1,
      masking: positions == .none ? .softcap : positions == .halves ? .sinks : .causal,
      positions: positions, group: 3, keyWidth: 64, valueWidth: 48, length: length,
      base: 262_143 - length, rows: 2, seed: 51)
  }

  /// Output rows in Double over the tokens as a harness has stored them, `[row][queryHead]`.
  private func reference(
    _ harness: EngineHarness, _ sequence: SequenceID, _ example: AttentionCase
  ) throws -> [[Double]] {
    let layer = harness.layer
    let twin = ReferenceAttention(
      scale: Double(1 / Float(example.keyWidth).squareRoot()), isCausal: true,
      softcap: layer.softcap.map(Double.init),
      rotation: layer.rotary.map {
        ReferenceRotation(
          frequencies: $0.frequencies, pairing: $0.pairing == .halves ? .halves : .interleaved,
          attentionFactor: Double($0.attentionFactor))
      })
    var outputs: [[Double]] = []
    for row in 0..<example.rows {
      let queries = example.queries(row..<row + 1)
      for head in 0..<example.queryHeads {
        let tokens = try harness.storedTokens(sequence, kvHead: head / example.group)
        outputs.append(
          twin.row(
            query: Array(queries[head * example.keyWidth..<(head + 1) * example.keyWidth]),
            at: example.base + example.length - example.rows + row, over: tokens,
            slope: Double(layer.alibi?.slopes[head] ?? 0),
            sink: layer.sinks.map { Double($0[head]) }
          ).output)
      }
    }
    return outputs
  }

  private func bounds(
    _ harness: EngineHarness, _ sequence: SequenceID, _ example: AttentionCase
  ) throws -> [Float] {
    try harness.engine.begin([StepRequest(sequence, appending: 0, querying: example.rows)])
    defer { harness.engine.abandon() }
    let queries = example.queries(0..<example.rows)
    var bounds = [Float](repeating: .nan, count: example.rows * example.queryHeads)
    var span = bounds.mutableSpan
    try harness.engine.quantizationBounds(layer: 0, queries: queries.span, into: &span)
    return bounds
  }

  @Test("is bounded, for exact arithmetic and for the engine's", arguments: positions)
  func holds(positions: AttentionCase.Positions) throws {
    for types in [(ElementType.int8, ElementType.int8), (.int4, .int4), (.int8, .float16)] {
      let example = Self.example(types, positions, length: 700)
      let plain = Self.example((.float16, .float16), positions, length: 700)
      let (coded, exact) = (try EngineHarness(example), try EngineHarness(plain))
      let (sequence, result) = try coded.run(example)
      let (other, _) = try exact.run(plain)
      let expected = try reference(exact, other, plain)
      let moved = try reference(coded, sequence, example)
      let bounds = try bounds(coded, sequence, example)
      let isFine = types.0 == .int8
      for (row, bound) in bounds.enumerated() {
        let distance = moved[row].distance(to: expected[row])
        #expect(distance <= Double(bound), "\(example) \(row)")
        // Steep slopes see nothing but the newest pages.
        #expect(distance > 0 || positions == .alibi, "\(example) \(row)")
        let output = result.output[row * 48..<(row + 1) * 48].map(Double.init)
        // Queries and probabilities in integers move it by less than codes of the same kind do.
        #expect(output.distance(to: expected[row]) <= 2 * Double(bound), "\(example) \(row)")
        // Not just anything: a value is 7 long.
        if isFine { #expect(bound < 3, "\(example) \(row)") }
        #expect(bound < 20)
      }
      // What is asked of a cache that has no such pages is 0.
      #expect(try self.bounds(exact, other, plain).allSatisfy { $0 == 0 })
    }
  }

  @Test("is 0 as long as all pages are new")
  func new() throws {
    let example = Self.example((.int8, .int4), .halves, length: 128)
    let harness = try EngineHarness(example)
    let (sequence, _) = try harness.run(example)
    #expect(try bounds(harness, sequence, example).allSatisfy { $0 == 0 })
  }

  @Test("wrong lengths and calls outside of a step are refused")
  func refusals() throws {
    let example = Self.example((.int8, .int8), .halves, length: 200)
    let harness = try EngineHarness(example)
    let (sequence, _) = try harness.run(example)
    var bounds = [Float](repeating: 0, count: 5)
    var span = bounds.mutableSpan
    let queries = example.queries(0..<2)
    #expect(throws: AttentionError.self) {
      try harness.engine.quantizationBounds(layer: 0, queries: queries.span, into: &span)
    }
    try harness.engine.begin([StepRequest(sequence, appending: 0, querying: 2)])
    #expect(throws: AttentionError.length(name: "bounds", received: 5, allowed: 12)) {
      try harness.engine.quantizationBounds(layer: 0, queries: queries.span, into: &span)
    }
    harness.engine.abandon()
  }
}
