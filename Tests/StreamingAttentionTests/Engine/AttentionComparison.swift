import KernelTable
import StreamingAttention
import TestSupport

/// The largest errors of a case in units of their derived bounds: at most 1 each.
struct AttentionRatios {
  /// Of outputs and log-sum-exps, against the bound that `ReferenceArithmetic` derives.
  var output = 0.0
  /// Of stored keys: a key is its token's, turned and rounded once.
  var storedKeys = 0.0

  var areWithinBounds: Bool { output <= 1 && storedKeys <= 1 }
}

extension AttentionCase {
  /// How far the case's newest rows and stored keys are from the slow twin, at a few rows and heads.
  func ratios(
    sampling most: Int = 12, workers: Workers = Workers(count: 1)
  ) throws -> AttentionRatios {
    let harness = try EngineHarness(self, workers: workers)
    let (sequence, result) = try harness.run(self)
    return try ratios(of: result, sequence, in: harness, sampling: most)
  }

  /// As `ratios(sampling:workers:)`, of rows that have been computed; the first one stands at `firstPosition`.
  func ratios(
    of result: AttentionResult, _ sequence: SequenceID, in harness: EngineHarness,
    firstPosition: Int? = nil, sampling most: Int = 12, mistake: TwinMistake? = nil
  ) throws -> AttentionRatios {
    var twin = try twin()
    if let mistake { mistake.change(&twin) }
    let layer = harness.layer
    let first = (firstPosition ?? base + length - rows) + (mistake?.positionShift ?? 0)
    var worst = AttentionRatios()
    var generator = SeededGenerator(seed: seed, stream: 77)
    let all = Array(0..<rows * queryHeads)
    var chosen = Set(all.shuffled(using: &generator).prefix(most))
    chosen.formUnion([all.first, all.last].compactMap { $0 })
    for kvHead in 0..<kvHeads {
      let tokens = try harness.storedTokens(sequence, kvHead: kvHead)
      worst.storedKeys = max(
        worst.storedKeys, storedKeyRatio(tokens, kvHead: kvHead, rotation: twin.rotation))
      for index in chosen.sorted() where index % queryHeads / group == kvHead {
        let (row, head) = (index / queryHeads, index % queryHeads)
        let query = Array(queries(row..<row + 1)[head * keyWidth..<(head + 1) * keyWidth])
        let other = (head + (mistake?.headShift ?? 0)) % queryHeads
        var added: [Float]?
        if let bias { added = biases(row: row)[bias == .perHead ? other : 0] }
        if let shift = mistake?.biasShift, let right = added {
          added = Array(right.suffix(shift)) + right.dropLast(shift)
        }
        let expected = twin.row(
          query: query, at: first + row, over: tokens,
          slope: layer.alibi.map { Double($0.slopes[other]) } ?? 0,
          sink: layer.sinks.map { Double($0[other]) },
          bias: added?.suffix(tokens.count))
        worst.output = max(
          worst.output,
          expected.worstRatio(output: result.output(index), logSumExp: result.logSumExp[index]))
      }
    }
    // Rows that the twin was not asked for: numbers at least.
    if !result.output.allSatisfy(\.isFinite) { worst.output = .infinity }
    return worst
  }

  private var dotsPairs: Bool { instructionSet == .avx512bf16 && traits.dotsPairs }

  func twin() throws -> ReferenceAttention {
    let rotation = try rotary().map {
      ReferenceRotation(
        frequencies: $0.frequencies, pairing: $0.pairing == .halves ? .halves : .interleaved,
        attentionFactor: $0.attentionFactor)
    }
    var arithmetic = ReferenceArithmetic(
      roundsQueries: dotsPairs && keyType == .bfloat16,
      roundsProbabilities: dotsPairs && valueType == .bfloat16)
    arithmetic.roundsQueriesToo = true
    return ReferenceAttention(
      scale: Double(1 / Float(keyWidth).squareRoot()), isCausal: masking.isCausal,
      window: masking.window, rightWindow: rightWindow, softcap: masking.softcap.map(Double.init),
      rotation: rotation,
      arithmetic: arithmetic)
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
      // Counted from the newest: the oldest may have left their window.
      let number = length - tokens.count + token
      let given = keys(number..<number + 1)[kvHead * keyWidth..<(kvHead + 1) * keyWidth]
        .map(Double.init)
      let distance = tokens.positions[token] - tokens.anchors[token]
      let turned = rotation?.turned(given, by: distance) ?? given
      let lengths = rotation?.magnitudes(of: given) ?? given.map(\.magnitude)
      let unit: Double =
        switch keyType {
        case .float32: 0
        case .float16, .int8, .int4: 0x1p-11
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
