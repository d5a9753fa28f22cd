import StreamingAttention
import TestSupport
import Testing

@testable import Benchmarking

@Suite struct FillReferenceTests {
  /// The twin's tokens: what the pages hold, in the caller's order of channels.
  private static func tokens(
    _ fill: SyntheticFill, kvHead: Int, rotations: [ReferenceRotation]
  ) throws -> ReferenceTokens {
    let cache = fill.engine.cache
    let shape = cache.layers[0]
    let stored = StoredPages(cache, layer: 0, kvHead: kvHead)
    let channels = stored.channels(fill.engine.layers[0].rotary)
    var tokens = ReferenceTokens(keyWidth: shape.keyWidth, valueWidth: shape.valueWidth)
    var (keys, values): ([Double], [Double]) = ([], [])
    try cache.forEachLiveEntry(of: fill.ids[0], table: 0) { entry in
      stored.readKeys(of: entry, into: &keys)
      stored.readValues(of: entry, into: &values)
      for slot in entry.slots {
        var key = [Float](repeating: 0, count: shape.keyWidth)
        for (row, channel) in channels.enumerated() where channel >= 0 {
          key[channel] = Float(keys[row * 64 + slot])
        }
        let value = (0..<shape.valueWidth).map { Float(values[slot * shape.valueWidth + $0]) }
        if entry.epoch == fill.rows.epoch || rotations.isEmpty {
          tokens.append(
            storedKey: key, value: value, at: entry.basePosition + slot, anchor: entry.anchor)
        } else {
          tokens.append(
            storedKey: key.map(Double.init), value: value.map(Double.init),
            at: entry.basePosition + slot, anchor: entry.anchor,
            turnedBy: entry.epoch == 0 ? nil : rotations[entry.epoch - 1],
            nowBy: rotations[fill.rows.epoch - 1])
        }
      }
    }
    return tokens
  }

  @Test(
    "Double over the pages equals the twin over a list of tokens",
    arguments: ElementType.plainCases, FillCase.Positions.allCases)
  func equalsTwin(type: ElementType, positions: FillCase.Positions) throws {
    // Every masking with its own way to store keys.
    for masking in 0..<3 {
      var example = FillCase(
        keyType: type, valueType: type, positions: positions, keyWidth: 24, valueWidth: 70)
      if masking == 1 { (example.window, example.softcap) = (300, 4) }
      if masking == 2 { (example.mask, example.sinks) = (.full, [0, 1, 2, 9]) }
      let fill = try SyntheticFill(
        engine: try example.engine(), sequences: [FillSequence(filled: 1500, queries: 3)],
        options: FillOptions(anchorRun: 512, rotation: FilledRotation.allCases[masking]))
      _ = try fill.fill()
      let layer = fill.engine.layers[0]
      let embeddings = [layer.rotary].compactMap(\.self) + layer.laterRotary
      let rotations = embeddings.map {
        ReferenceRotation(
          frequencies: $0.frequencies,
          pairing: $0.pairing == .halves ? .halves : .interleaved,
          attentionFactor: $0.attentionFactor)
      }
      let twin = ReferenceAttention(
        scale: Double(1 / Float(24).squareRoot()), isCausal: example.mask == .causal,
        window: example.window, softcap: example.softcap.map(Double.init),
        rotation: rotations.isEmpty ? nil : rotations[fill.rows.epoch - 1])
      let queries = fill.plainQueries(layer: 0)
      let output = try fill.twin(layer: 0, queries: queries)
      for kvHead in 0..<2 {
        let tokens = try Self.tokens(fill, kvHead: kvHead, rotations: rotations)
        for row in 0..<3 {
          for head in kvHead * 2..<kvHead * 2 + 2 {
            let index = row * 4 + head
            let expected = twin.row(
              query: Array(queries[index * 24..<(index + 1) * 24]),
              at: fill.rows.position(ofToken: 1497 + row, sequence: 0), over: tokens,
              slope: layer.alibi.map { Double($0.slopes[head]) } ?? 0,
              sink: layer.sinks.map { Double($0[head]) })
            for channel in 0..<70 {
              // The twin's angles are off by 1e-12, and the output is rounded to f32 once.
              let difference = Double(output[index * 70 + channel]) - expected.output[channel]
              #expect(
                difference.magnitude <= 0x1p-24 * expected.output[channel].magnitude + 1e-10)
            }
          }
        }
      }
    }
  }

  @Test("the relative error is that of the rows asked for")
  func relativeError() throws {
    let fill = try SyntheticFill(
      engine: try FillCase().engine(),
      sequences: [FillSequence(filled: 200), FillSequence(filled: 1000, queries: 3)])
    _ = try fill.fill()
    let queries = fill.plainQueries(layer: 0)
    var output = try fill.twin(layer: 0, queries: queries)
    func error(_ rows: Range<Int>?) throws -> RelativeError {
      try fill.relativeError(
        layer: 0, queries: queries.span, output: output.span, sequence: 1, kvHead: 1, which: rows)
    }
    // f32 rounds what Double has computed.
    #expect(try error(nil).l2 <= 0x1p-24 && error(0..<3).rowCount == 6)
    // Row 1 of the second sequence, head 2 (of KV head 1): one number of 4 · 32 is 1 too large.
    let first = ((1 + 1) * 4 + 2) * 32
    output[first + 7] += 1
    #expect(try error(0..<1).l2 <= 0x1p-24 && error(2..<3).l2 <= 0x1p-24)
    let norm = (output[first..<first + 64].reduce(0.0) { $0 + Double($1 * $1) }).squareRoot()
    let wrong = try error(1..<2)
    #expect((wrong.maximum - 1).magnitude < 1e-6 && wrong.l2 > 1 / norm)
    output[first + 7] = .nan
    #expect(try error(1..<2).l2 == .infinity)
  }

  @Test(
    "the engine's error on plain data is what the types allow", arguments: ElementType.plainCases)
  func engineError(type: ElementType) throws {
    let example = FillCase(
      keyType: type, valueType: type, kvHeads: 2, group: 4, keyWidth: 128, valueWidth: 128)
    let fill = try SyntheticFill(
      engine: try example.engine(), sequences: [FillSequence(filled: 4095, appended: 1)])
    _ = try fill.fill()
    let queries = fill.plainQueries(layer: 0)
    _ = try fill.output(queries: queries) { output in
      for kvHead in 0..<2 {
        let error = try fill.relativeError(
          layer: 0, queries: queries.span, output: output.span, kvHead: kvHead)
        #expect(error.l2 > 0 && error.l2 <= (type == .bfloat16 ? 6e-3 : 1e-5), "\(error)")
      }
    }
  }
}

extension SyntheticFill {
  /// The output of Double over the pages for all rows, rounded to f32.
  func twin(layer: Int, queries: [Float]) throws -> [Float] {
    let stored = engine.cache.layers[layer]
    let attention = engine.layers[layer]
    let (heads, group) = (attention.queryHeads, attention.queryHeads / stored.kvHeads)
    var output = [Float](
      repeating: .nan, count: queries.count / stored.keyWidth * stored.valueWidth)
    var first = 0
    for (index, sequence) in sequences.enumerated() {
      for kvHead in 0..<stored.kvHeads {
        let answers = try answers(
          layer: layer, queries: queries.span, for: engine, sequence: index, kvHead: kvHead,
          rows: 0..<sequence.queries)
        for (number, answer) in answers.enumerated() {
          let row = first + number / group
          let start = (row * heads + kvHead * group + number % group) * stored.valueWidth
          for (channel, number) in answer.output.enumerated() {
            output[start + channel] = Float(number)
          }
        }
      }
      first += sequence.queries
    }
    return output
  }
}
