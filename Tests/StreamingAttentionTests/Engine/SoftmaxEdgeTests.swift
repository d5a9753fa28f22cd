import Foundation
import TestSupport
import Testing

@testable import StreamingAttention

@Suite("The softmax of a leaf at its edges")
struct SoftmaxEdgeTests {
  /// Scores climb, or fall, by about as much as they may lie above m before it follows (8 in units of log2): in some pages a bit
  /// less, in others a bit more.
  static let climbs: [AttentionCase] = AttentionFactors.instructionSets.flatMap { set in
    AttentionFactors.types.flatMap { type in
      [4.2, 4.4, -4.2].map { step in
        var example = AttentionCase(
          instructionSet: set, keyType: type, valueType: type, positions: .none, group: 3,
          keyWidth: 59, valueWidth: 45, length: 650, rows: 7, seed: 41)
        // 10·step ÷ √59·log2 e: 7.9 and 8.3 a page, beside noise of 1.4.
        for head in 0..<example.queryHeads {
          for row in 0..<example.rows {
            example.planted.append(
              .init(part: .query, index: row, channel: head * 59 + 3, number: 10))
          }
        }
        for page in 0..<10 {
          for head in 0..<example.kvHeads {
            let number = Float(step * Double(step > 0 ? page : page - 9))
            example.planted.append(
              .init(part: .key, index: page * 64 + 11, channel: head * 59 + 3, number: number))
          }
        }
        return example
      }
    }
  }

  @Test("scores may climb by less or more than m lets them", arguments: climbs)
  func climb(_ example: AttentionCase) throws {
    var worst = WorstCase()
    try worst.try(example)
  }

  @Test(
    "NaN among few keys reaches the rows that see it",
    arguments: AttentionEdgeTests.kinds, [1, 16, 48, 49, 64, 65])
  func nanAmongFew(_ kind: AttentionCase, _ length: Int) throws {
    var example = kind
    (example.length, example.rows) = (length, min(length, 3))
    for part in [AttentionCase.Planted.Part.key, .query] {
      var marked = example
      // The first key of the second KV head; the second head's first query.
      let (channel, heads) = part == .key ? (59 + 7, 3..<6) : (59 + 7, 1..<2)
      marked.planted = [.init(part: part, index: 0, channel: channel, number: .nan)]
      let (_, result) = try EngineHarness(marked).run(marked)
      for index in result.logSumExp.indices {
        let (row, head) = (index / example.queryHeads, index % example.queryHeads)
        let isMarked = heads.contains(head) && (part == .key || row == 0)
        #expect(result.logSumExp[index].isNaN == isMarked, "\(part) row \(row) head \(head)")
        #expect(result.output(index).allSatisfy { $0.isNaN == isMarked })
      }
    }
  }

  @Test(
    "where probabilities are rounded to bf16, they are those of 2^x",
    .enabled(if: InstructionSet.avx512bf16.isAvailable))
  func roundedProbabilities() throws {
    var pair = try TwoKeys(.bfloat16, .avx512bf16)
    var different = 0
    var generator = SeededGenerator(seed: 43)
    for _ in 0..<2000 {
      // y = a + b ÷ 2^8 + c ÷ 2^16, up to 20: all three parts are numbers of bf16, and scores are exact.
      let exponents = (0..<TwoKeys.heads).map { _ in
        [
          Double(generator.next() % 20), Double(generator.next() % 256) / 256,
          Double(generator.next() % 256) / 65_536,
        ]
      }
      for (found, y) in zip(try pair.probabilities(exponents), exponents) {
        // 1 ÷ (1 + p) and p ÷ (1 + p): their quotient is off by 2⁻²³ at most, and numbers of bf16 lie 2⁻⁸ apart.
        let exact = exp2(-y.reduce(0, +))
        // A tangent at the nearest sixteenth is off by −1.6e-4 to 7.9e-5, its roundings by 3·2⁻²⁴: a tie that near may go either way.
        let allowed = [1 - 1.602e-4, 1 + 7.84e-5].map {
          Float(bitPattern: UInt32(SlotTwin.bfloat16(Float(exact * $0))) << 16)
        }
        if !allowed.contains(where: { abs(found / $0 - 1) < 0x1p-20 }) { different += 1 }
      }
    }
    #expect(different == 0)
  }

  @Test(
    "probabilities in f32 are those of 2^x",
    arguments: InstructionSet.allCases.filter(\.isAvailable))
  func probabilities(_ set: InstructionSet) throws {
    var pair = try TwoKeys(.float32, set)
    var worst = 0.0
    var generator = SeededGenerator(seed: 44)
    for _ in 0..<500 {
      let exponents = (0..<TwoKeys.heads).map { _ in [Double(generator.next() % 65_536) / 65_536] }
      for (found, y) in zip(try pair.probabilities(exponents), exponents) {
        let exact = exp2(-y[0])
        worst = max(worst, abs(Double(found) / exact - 1))
      }
    }
    // In units of 2⁻²⁴: 3 for 2^x (`ReferenceArithmetic`); the query's division, its scale, the product with log2 e and that constant move a
    // score of at most 1 by 4, so 2^−y by 4·ln 2; both outputs and their quotient round by 1 each, and 1 ÷ ℓ cancels.
    #expect(worst <= 9 * 0x1p-24)
  }
}

/// A key of score 0 and one of score −y, whose values tell them apart.
private struct TwoKeys {
  static let heads = 64
  let engine: AttentionEngine
  let sequence: SequenceID
  var isFilled = false

  init(_ type: ElementType, _ instructionSet: InstructionSet) throws {
    let cache = try KVCache(
      layers: [
        LayerShape(
          kvHeads: 1, keyWidth: 16, valueWidth: 16, keyType: type, valueType: type,
          keyPositions: .none, retention: .everything)
      ], stripes: [nil], memoryLimit: 1 << 24)
    engine = try AttentionEngine(
      cache: cache, layers: [LayerAttention(queryHeads: Self.heads, scale: 1)],
      workers: Workers(count: 1), instructionSet: instructionSet,
      traits: ProcessorTraits(requests: .none, widensPages: false, dotsPairs: true))
    sequence = try cache.makeSequence()
  }

  /// For each head, p of the second key, y being the sum of at most three parts, over that of the first one.
  mutating func probabilities(_ exponents: [[Double]]) throws -> [Float] {
    var queries = [Float](repeating: 0, count: Self.heads * 16)
    for (head, parts) in exponents.enumerated() {
      for (channel, part) in parts.enumerated() {
        queries[head * 16 + channel] = Float(part / M_LOG2E)
      }
    }
    try engine.begin([StepRequest(sequence, appending: isFilled ? 0 : 2, querying: 1)])
    if !isFilled {
      var keys = [Float](repeating: 0, count: 32)
      var values = keys
      (keys[16], keys[17], keys[18]) = (-1, -1, -1)
      (values[0], values[17]) = (1, 1)
      try engine.append(layer: 0, keys: keys.span, values: values.span)
      isFilled = true
    }
    var output = [Float](repeating: .nan, count: Self.heads * 16)
    var logSumExp = [Float](repeating: .nan, count: Self.heads)
    var outputSpan = output.mutableSpan
    var lseSpan = logSumExp.mutableSpan
    _ = try engine.attend(layer: 0, queries: queries.span, into: &outputSpan, logSumExp: &lseSpan)
    engine.commit()
    return (0..<Self.heads).map { output[$0 * 16 + 1] / output[$0 * 16] }
  }
}
