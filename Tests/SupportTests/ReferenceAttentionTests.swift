import Foundation
import TestSupport
import Testing

@Suite("The slow attention twin")
struct ReferenceAttentionTests {
  @Test("a row worked by hand")
  func byHand() {
    var tokens = ReferenceTokens(keyWidth: 2, valueWidth: 1)
    tokens.append(storedKey: [1, 0], value: [10], at: 0)
    tokens.append(storedKey: [0, 1], value: [20], at: 1)
    tokens.append(storedKey: [5, 5], value: [1e6], at: 2)
    let attention = ReferenceAttention(scale: 1, isCausal: true)
    // Scores ln 3 and 0: weights ¾ and ¼; the third key lies in the future.
    let row = attention.row(query: [Float(log(3.0)), 0], at: 1, over: tokens)
    // ln 3 as a Float: off by 2⁻²⁵, which moves the weights by 3 ÷ 16 of it.
    #expect(abs(row.output[0] - 12.5) < 1e-7)
    #expect(abs(row.logSumExp - log(4.0)) < 1e-7)
    // A sink of ln 4 halves everything; a slope of ln 3 takes the older key's lead away.
    let sunk = attention.row(query: [Float(log(3.0)), 0], at: 1, over: tokens, sink: log(4.0))
    #expect(abs(sunk.output[0] - 6.25) < 1e-7)
    #expect(abs(sunk.logSumExp - log(8.0)) < 1e-7)
    let biased = attention.row(
      query: [Float(log(3.0)), 0], at: 1, over: tokens, slope: log(3.0))
    #expect(abs(biased.output[0] - 15) < 1e-6)
  }

  @Test("masks, windows and caps do what they say")
  func settings() {
    var tokens = ReferenceTokens(keyWidth: 1, valueWidth: 1)
    for position in 0..<10 { tokens.append(storedKey: [0], value: [Float(position)], at: position) }
    func mean(_ attention: ReferenceAttention, at position: Int) -> Double {
      attention.row(query: [1], at: position, over: tokens).output[0]
    }
    #expect(abs(mean(ReferenceAttention(scale: 1, isCausal: true), at: 4) - 2) < 1e-15)
    #expect(abs(mean(ReferenceAttention(scale: 1, isCausal: false), at: 4) - 4.5) < 1e-15)
    #expect(abs(mean(ReferenceAttention(scale: 1, isCausal: true, window: 3), at: 4) - 3) < 1e-15)
    #expect(
      abs(mean(ReferenceAttention(scale: 1, isCausal: false, window: 3), at: 4) - 5.5) < 1e-15)
    var sharp = ReferenceTokens(keyWidth: 1, valueWidth: 1)
    sharp.append(storedKey: [1000], value: [1], at: 0)
    sharp.append(storedKey: [0], value: [0], at: 1)
    let capped = ReferenceAttention(scale: 1, isCausal: true, softcap: 2)
    // tanh(500) is 1: weights e² and 1.
    let expected = exp(2.0) / (exp(2.0) + 1)
    #expect(abs(capped.row(query: [1], at: 1, over: sharp).output[0] - expected) < 1e-15)
    let none = ReferenceAttention(scale: 1, isCausal: true).row(
      query: [1], at: -1, over: tokens)
    #expect(none.output == [0])
    #expect(none.logSumExp == -.infinity)
    #expect(none.worstRatio(output: [0], logSumExp: -.infinity) == 0)
    #expect(none.worstRatio(output: [1e-20], logSumExp: -.infinity) == .infinity)
    #expect(none.worstRatio(output: [.nan], logSumExp: -.infinity) == .infinity)
  }

  @Test("an anchor changes nothing, and the attention factor acts squared")
  func rotation() {
    let rotation = ReferenceRotation(
      frequencies: [1, 0.1], pairing: .interleaved, attentionFactor: 1.25)
    var generator = SeededGenerator(seed: 8)
    let keys = (0..<6).map { _ in generator.normalFloats(5) }
    let query = generator.normalFloats(5)
    var given = ReferenceTokens(keyWidth: 5, valueWidth: 1)
    for (position, key) in keys.enumerated() {
      given.append(key: key, value: [Float(position)], at: position + 100, turnedBy: rotation)
    }
    var moved = ReferenceTokens(keyWidth: 5, valueWidth: 1)
    for (position, key) in keys.enumerated() {
      let turned = rotation.turned(key.map(Double.init), by: position + 30).map { Float($0) }
      moved.append(storedKey: turned, value: [Float(position)], at: position + 100, anchor: 70)
    }
    let attention = ReferenceAttention(scale: 0.5, isCausal: true, rotation: rotation)
    let (one, two) = (
      attention.row(query: query, at: 105, over: given),
      attention.row(query: query, at: 105, over: moved)
    )
    // The moved keys were rounded to f32: five channels of 2⁻²⁵ against a query of length 4 at most, on values to 5.
    #expect(abs(one.output[0] - two.output[0]) < 5e-6)
    // By hand for the newest key: the pairs turn alike, so q·k with a² on the first four channels.
    var score = 0.0
    for channel in 0..<5 {
      score += Double(query[channel]) * Double(keys[5][channel]) * (channel < 4 ? 1.5625 : 1) / 2
    }
    var last = ReferenceTokens(keyWidth: 5, valueWidth: 1)
    last.append(key: keys[5], value: [1], at: 105, turnedBy: rotation)
    #expect(abs(attention.row(query: query, at: 105, over: last).logSumExp - score) < 1e-13)
  }

  @Test("the bound holds what f32 arithmetic loses, and little more")
  func bound() {
    var generator = SeededGenerator(seed: 9)
    var tokens = ReferenceTokens(keyWidth: 64, valueWidth: 4)
    var (keys, values) = ([[Float]](), [[Float]]())
    for position in 0..<700 {
      keys.append(generator.normalFloats(64))
      values.append(generator.normalFloats(4))
      tokens.append(storedKey: keys[position], value: values[position], at: position)
    }
    let query = generator.normalFloats(64)
    let row = ReferenceAttention(scale: 0.125, isCausal: true).row(
      query: query, at: 699, over: tokens)
    // The plainest f32 softmax.
    let scores = keys.map { key in zip(query, key).reduce(Float(0)) { $0 + $1.0 * $1.1 } * 0.125 }
    let maximum = scores.max() ?? 0
    let weights = scores.map { expf($0 - maximum) }
    let total = weights.reduce(0, +)
    var output = [Float](repeating: 0, count: 4)
    for (weight, value) in zip(weights, values) {
      for channel in 0..<4 { output[channel] += weight * value[channel] / total }
    }
    let ratio = row.worstRatio(output: output, logSumExp: maximum + logf(total))
    #expect(ratio < 1)
    #expect(ratio > 1e-4)
    // One key left out is far outside.
    var short = output
    for channel in 0..<4 {
      short[channel] =
        (output[channel] * total - weights[350] * values[350][channel])
        / (total - weights[350])
    }
    #expect(row.worstRatio(output: short, logSumExp: maximum + logf(total)) > 3)
  }
}
