import KernelTable
import StreamingAttention
import TestSupport

extension AttentionCase {
  /// The largest error against the slow twin in units of its derived bound (`ReferenceArithmetic`): at most 1.
  ///
  /// Also checks what was stored: a key is its token's, turned and rounded once.
  func worstRatio(sampling most: Int = 12, workers: Workers = Workers(count: 1)) throws -> Double {
    let harness = try EngineHarness(self, workers: workers)
    let (sequence, result) = try harness.run(self)
    let layer = harness.layer
    let rotation = try rotary().map {
      ReferenceRotation(
        frequencies: $0.frequencies, pairing: $0.pairing == .halves ? .halves : .interleaved,
        attentionFactor: $0.attentionFactor)
    }
    var arithmetic = ReferenceArithmetic(
      roundsQueries: instructionSet == .avx512bf16 && keyType == .bfloat16,
      roundsProbabilities: instructionSet == .avx512bf16 && valueType == .bfloat16)
    arithmetic.roundsQueriesToo = true
    let scale = Double(layer.scale ?? 1 / Float(keyWidth).squareRoot())
    let twin = ReferenceAttention(
      scale: scale, isCausal: masking.isCausal, window: masking.window,
      softcap: masking.softcap.map(Double.init), rotation: rotation, arithmetic: arithmetic)

    var worst = 0.0
    var generator = SeededGenerator(seed: seed, stream: 77)
    let all = (0..<rows * queryHeads).map { $0 }
    var chosen = Set(all.shuffled(using: &generator).prefix(most))
    chosen.formUnion([all.first, all.last].compactMap { $0 })
    for kvHead in 0..<kvHeads {
      let tokens = try harness.storedTokens(sequence, kvHead: kvHead)
      worst = max(worst, storedKeyRatio(tokens, kvHead: kvHead, rotation: rotation))
      for index in chosen.sorted() where index % queryHeads / group == kvHead {
        let (row, head) = (index / queryHeads, index % queryHeads)
        let position = base + length - rows + row
        let query = Array(queries(row..<row + 1)[head * keyWidth..<(head + 1) * keyWidth])
        let expected = twin.row(
          query: query, at: position, over: tokens,
          slope: layer.alibi.map { Double($0.slopes[head]) } ?? 0,
          sink: layer.sinks.map { Double($0[head]) })
        let output = result.output[index * valueWidth..<(index + 1) * valueWidth]
        worst = max(
          worst, expected.worstRatio(output: output, logSumExp: result.logSumExp[index]))
      }
    }
    // Rows that the twin was not asked for: numbers at least.
    if !result.output.allSatisfy(\.isFinite) { worst = .infinity }
    return worst
  }

  /// The worst stored key of a few, in units of its bound.
  ///
  /// Four roundings of f32 in its turn (at most √2·3u of the pair's length, u = 2⁻²⁴, and the cosine's own), then one
  /// to the stored type: 2⁻¹¹ of it for f16 (below 2⁻¹⁴ the unit is 2⁻²⁵ flat), 2⁻⁸ for bf16.
  private func storedKeyRatio(
    _ tokens: ReferenceTokens, kvHead: Int, rotation: ReferenceRotation?
  ) -> Double {
    var worst = 0.0
    for token in stride(from: 0, to: tokens.count, by: max(1, tokens.count / 7)) {
      let number = tokens.positions[token] - base
      let given = keys(number..<number + 1)[kvHead * keyWidth..<(kvHead + 1) * keyWidth]
        .map(Double.init)
      let distance = tokens.positions[token] - tokens.anchors[token]
      let turned = rotation?.turned(given, by: distance) ?? given
      let lengths = rotation?.magnitudes(of: given) ?? given.map(\.magnitude)
      let unit: Double =
        switch keyType {
        case .float32: 0
        case .float16: 0x1p-11
        case .bfloat16: 0x1p-8
        }
      for (channel, stored) in tokens.key(token).enumerated() {
        let bound =
          8 * 0x1p-24 * lengths[channel] + unit * turned[channel].magnitude * 1.001 + 0x1p-25
        worst = max(worst, ReferenceRow.ratio(stored, turned[channel], bound))
      }
    }
    return worst
  }
}
