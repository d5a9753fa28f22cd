import Benchmarking
import Foundation
import StreamingAttention
import Testing

@testable import Stress

@Suite("The naive list in Double")
struct TokenOracleTests {
  private let shape = AttentionShape(queryHeads: 4, kvHeads: 2, headDimension: 64)
  private let types = StoredTypes(key: .float16, value: .float16)

  private func attention(_ position: PositionKind) throws -> LayerAttention {
    LayerAttention(
      queryHeads: 4,
      rotary: position.turns
        ? try RotaryEmbedding(headDimension: 64, base: 500_000, pairing: .halves) : nil,
      alibi: position.isBiased ? try ALiBi(headCount: 4) : nil)
  }

  /// As obvious as can be: every key is turned by its own position, the query by its own.
  private func obvious(
    _ list: TokenList, rows: TokenRows, queryHead: Int, query: [Float], attention: LayerAttention
  ) -> (output: [Double], logSumExp: Double) {
    let newest = list.position(of: list.count - 1)
    let asked = query.map(Double.init)
    let turned = attention.rotary?.turned(asked, by: newest) ?? asked
    var scores: [Double] = []
    for index in list.tokens.indices {
      let key = rows.key(layer: 1, kvHead: queryHead / 2, token: list.tokens[index])
      let there = attention.rotary?.turned(key, by: list.position(of: index)) ?? key
      let slope = attention.alibi.map { Double($0.slopes[queryHead]) } ?? 0
      let product = zip(turned, there).reduce(0) { $0 + $1.0 * $1.1 } / 8
      scores.append(product - slope * Double(newest - list.position(of: index)))
    }
    let total = scores.reduce(0) { $0 + exp($1) }
    var output = [Double](repeating: 0, count: 64)
    for (index, score) in scores.enumerated() {
      let value = rows.value(layer: 1, kvHead: queryHead / 2, token: list.tokens[index])
      for channel in 0..<64 {
        output[channel] += exp(score) / total * types.value.stored(value[channel])
      }
    }
    return (output, log(total))
  }

  @Test(
    "equals attention token by token", arguments: [1, 63, 64, 65, 1_500], PositionKind.allCases)
  func obviousTwin(count: Int, position: PositionKind) throws {
    let rows = TokenRows(shape: shape, layers: 2, seed: 7)
    let attention = try attention(position)
    var list = TokenList(base: 262_143 - count)
    list.append((0..<count).map { UInt32($0 * 7 % 1_999) })
    let heads = [2, 3]
    let queries = heads.map { head in
      var row = [Float](repeating: 0, count: 64)
      var span = row.mutableSpan
      rows.fillQuery(&span, layer: 1, queryHead: head, number: 5)
      return row
    }
    let oracle = TokenOracle(
      rows: rows, layer: 1, heads: heads, attention: attention, types: types)
    let states = try oracle.states(over: list, queries: queries, workers: Workers(count: 2))
    for (index, head) in heads.enumerated() {
      let (output, logSumExp) = obvious(
        list, rows: rows, queryHead: head, query: queries[index], attention: attention)
      let state = states[index]
      // Some thousands of roundings of Double.
      #expect(abs(state.maximum + log(state.denominator) - logSumExp) < 1e-10)
      for channel in 0..<64 {
        #expect(abs(state.output[channel] / state.denominator - output[channel]) < 1e-10)
      }
    }
  }

  @Test("an answer is right up to rounding, and no further")
  func tolerance() throws {
    var state = OracleState(width: 2)
    // e = 1e-3 for each of two tokens of the same weight.
    state.add(score: 1, error: 1e-3, value: [1, 0], square: 1)
    state.add(score: 1, error: 1e-3, value: [0, 1], square: 1)
    let units = RoundingUnits(StoredTypes(key: .float16, value: .float16))
    let logSumExp = Float(1 + log(2.0))
    func ratio(_ output: [Float], _ logSumExp: Float) -> Double {
      state.worstRatio(output: output[...], logSumExp: logSumExp, skippedMass: 0, units: units)
    }
    #expect(ratio([0.5, 0.5], logSumExp) < 0.1)
    #expect(ratio([0.5004, 0.4996], logSumExp) < 1)
    #expect(ratio([0.503, 0.497], logSumExp) > 1)
    #expect(ratio([0.5, 0.5], logSumExp + 0.01) > 1)
    #expect(ratio([.nan, 0.5], logSumExp) == .infinity)
  }

  @Test(
    "the state of two halves is that of the whole, whichever is larger", arguments: [-30.0, 30])
  func merge(step: Double) {
    var (whole, first, second) = (
      OracleState(width: 1), OracleState(width: 1), OracleState(width: 1)
    )
    for index in 0..<4 {
      let score = step * Double(index) / 3
      whole.add(score: score, error: 0.1, value: [Double(index)], square: 2)
      if index < 2 {
        first.add(score: score, error: 0.1, value: [Double(index)], square: 2)
      } else {
        second.add(score: score, error: 0.1, value: [Double(index)], square: 2)
      }
    }
    first.merge(second)
    #expect(first.maximum == whole.maximum)
    let pairs = [
      (first.denominator, whole.denominator), (first.output[0], whole.output[0]),
      (first.scoreError, whole.scoreError), (first.errorSquares, whole.errorSquares),
      (first.errorValues, whole.errorValues), (first.valueSquares, whole.valueSquares),
    ]
    for (merged, once) in pairs { #expect(abs(merged - once) <= 1e-14 * abs(once)) }
  }
}
