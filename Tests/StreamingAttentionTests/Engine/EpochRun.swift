import KernelTable
import StreamingAttention
import TestSupport
import Testing

/// What happens to a sequence: how its tokens are stored from one token on, until the next.
struct EpochHistory: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var parts: [(from: Int, rotation: SequenceRotation)]
}

/// A sequence that has gone through a history of epochs, and the rows that its last step asked for.
struct EpochRun {
  private(set) var example: AttentionCase
  let harness: EngineHarness
  var sequence: SequenceID
  private(set) var result: AttentionResult

  /// An engine that knows three epochs of frequencies.
  static func harness(
    _ example: AttentionCase, _ rotaries: [RotaryEmbedding]? = nil,
    workers: Workers = Workers(count: 1)
  ) throws -> EngineHarness {
    var layer = try example.layer()
    layer.laterRotary = try laterRotary(example)
    if let rotaries {
      layer.rotary = rotaries[0]
      layer.laterRotary = Array(rotaries.dropFirst())
    }
    return try EngineHarness(example, layer: layer, workers: workers)
  }

  /// The case's embedding with other scalings: higher attention factors, other ramps, another base.
  private static func laterRotary(_ example: AttentionCase) throws -> [RotaryEmbedding] {
    guard let first = try example.rotary() else { return [] }
    return try [
      RotaryScaling.yarn(YaRN(factor: 2, originalContext: 4096)), .ntkAware(factor: 3),
    ].map { scaling in
      try RotaryEmbedding(
        headDimension: first.headDimension, rotaryDimensions: first.rotaryDimensions,
        base: first.base, pairing: first.pairing, scaling: scaling)
    }
  }

  /// A sequence of the case's tokens; `rotaries` takes the place of the three epochs' embeddings.
  init(
    _ example: AttentionCase, _ history: EpochHistory, rotaries: [RotaryEmbedding]? = nil,
    chunk: Int = 1000, workers: Workers = Workers(count: 1)
  ) throws {
    self.example = example
    harness = try Self.harness(example, rotaries, workers: workers)
    let cache = harness.engine.cache
    sequence = try cache.makeSequence(startingAt: example.base)
    for (index, part) in history.parts.enumerated() {
      try cache.setRotation(part.rotation, of: sequence)
      let end = index + 1 < history.parts.count ? history.parts[index + 1].from : example.length
      for start in stride(from: part.from, to: end, by: chunk) {
        _ = try harness.step([
          HarnessRequest(
            sequence, example, tokens: start..<min(start + chunk, end), rows: 0..<0)
        ])
      }
    }
    let request = HarnessRequest(
      sequence, example, tokens: example.length..<example.length, rows: 0..<example.rows)
    result = try harness.step([request])[0]
  }

  /// One step more, in which the case's next tokens are appended and its rows ask.
  mutating func grow(by count: Int) throws {
    let start = example.length
    example.length += count
    result = try harness.step([
      HarnessRequest(
        sequence, example, tokens: start..<start + count, rows: 0..<example.rows)
    ])[0]
  }

  /// The newest rows once more.
  func rows() throws -> AttentionResult {
    try harness.step([
      HarnessRequest(
        sequence, example, tokens: example.length..<example.length, rows: 0..<example.rows)
    ])[0]
  }

  /// Errors against the twin, whose rotations by epoch may be changed: to be wrong, or to follow the length.
  func ratios(
    of other: AttentionResult? = nil, firstPosition: Int? = nil,
    changing change: (inout [ReferenceRotation]) -> Void = { _ in }
  ) throws -> AttentionRatios {
    let result = other ?? result
    let first = firstPosition ?? example.base + example.length - example.rows
    let embeddings = [harness.layer.rotary].compactMap(\.self) + harness.layer.laterRotary
    var rotations = embeddings.map {
      ReferenceRotation(
        frequencies: $0.frequencies, pairing: $0.pairing == .halves ? .halves : .interleaved,
        attentionFactor: $0.attentionFactor)
    }
    change(&rotations)
    let cache = harness.engine.cache
    let epoch = try cache.rotation(of: sequence).epoch
    var epochs: [Int] = []
    // [kvHead][token], 0 for plain pages.
    var errors = [[Float]](repeating: [], count: example.kvHeads)
    try cache.forEachLiveEntry(of: sequence, table: 0) { entry in
      epochs += entry.slots.map { _ in entry.epoch }
      for kvHead in errors.indices {
        let error =
          entry.isCoded ? unsafe cache.pageErrors(layer: 0, kvHead: kvHead)[entry.page].key : 0
        errors[kvHead] += entry.slots.map { _ in error }
      }
    }
    var twin = try example.twin()
    twin.rotation = rotations[epoch - 1]
    var worst = AttentionRatios()
    for kvHead in 0..<example.kvHeads {
      let stored = try harness.storedTokens(sequence, kvHead: kvHead)
      var tokens = ReferenceTokens(keyWidth: example.keyWidth, valueWidth: example.valueWidth)
      for (token, keyEpoch) in epochs.enumerated() {
        let old = keyEpoch == 0 ? nil : rotations[keyEpoch - 1]
        if token % 97 == 0 {
          worst.storedKeys = max(
            worst.storedKeys,
            storedKeyRatio(
              stored, token, kvHead: kvHead, turnedBy: old, error: errors[kvHead][token]))
        }
        if keyEpoch == epoch {
          tokens.append(token, of: stored)
        } else {
          tokens.append(token, of: stored, turnedBy: old, nowBy: rotations[epoch - 1])
        }
      }
      for row in Set([0, example.rows / 2, example.rows - 1]) {
        for head in kvHead * example.group..<(kvHead + 1) * example.group {
          let width = example.keyWidth
          let query = Array(
            example.queries(row..<row + 1)[head * width..<(head + 1) * width])
          let expected = twin.row(
            query: query, at: first + row, over: tokens,
            slope: harness.layer.alibi.map { Double($0.slopes[head]) } ?? 0)
          let index = row * example.queryHeads + head
          worst.output = max(
            worst.output,
            expected.worstRatio(output: result.output(index), logSumExp: result.logSumExp[index]))
        }
      }
    }
    if !result.output.allSatisfy(\.isFinite) { worst.output = .infinity }
    return worst
  }

  /// A stored key beside its token's, turned in Double, in units of its bound.
  ///
  /// `AttentionComparison` derives it; without a turn only the rounding to the stored type is left of it. A key in codes is
  /// within its page's error of that.
  private func storedKeyRatio(
    _ tokens: ReferenceTokens, _ token: Int, kvHead: Int, turnedBy rotation: ReferenceRotation?,
    error: Float
  ) -> Double {
    let width = example.keyWidth
    let given = example.keys(token..<token + 1)[kvHead * width..<(kvHead + 1) * width]
      .map(Double.init)
    let distance = tokens.positions[token] - tokens.anchors[token]
    let turned = rotation?.turned(given, by: distance) ?? given
    let lengths = rotation?.magnitudes(of: given) ?? [Double](repeating: 0, count: width)
    let unit: Double =
      switch example.keyType {
      case .float32: 0
      case .float16, .int8, .int4: 0x1p-11
      case .bfloat16: 0x1p-8
      }
    var worst = 0.0
    if error > 0 {
      let slack = (unit + 8 * 0x1p-24) * turned.norm + 0x1p-24 * Double(width)
      return Array(tokens.key(token)).distance(to: turned) / (Double(error) + slack)
    }
    for (channel, stored) in tokens.key(token).enumerated() {
      let bound =
        8 * 0x1p-24 * lengths[channel] + unit * turned[channel].magnitude * 1.001 + 0x1p-25
      worst = max(worst, ReferenceRow.ratio(stored, turned[channel], bound))
    }
    return worst
  }
}
