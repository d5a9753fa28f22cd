package import StreamingAttention

/// What the measured step appends and asks: all sequences one after the other, as the engine takes it.
extension SyntheticFill {
  /// Keys of the appended tokens, `[token][kvHead][keyWidth]`, not turned.
  package func appendedKeys(layer: Int) -> [Float] {
    unsafe appended(
      layer: layer, width: rows.layers[layer].stored.keyWidth, rows.writeKeys)
  }

  /// Values of the appended tokens, `[token][kvHead][valueWidth]`.
  package func appendedValues(layer: Int) -> [Float] {
    unsafe appended(
      layer: layer, width: rows.layers[layer].stored.valueWidth, rows.writeValues)
  }

  private typealias RowWriter = (Int, Int, Int, Range<Int>, UnsafeMutablePointer<Float>, Int) ->
    Void

  @unsafe private func appended(layer: Int, width: Int, _ write: RowWriter) -> [Float] {
    let stored = rows.layers[layer].stored
    let stride = stored.kvHeads * width
    let count = sequences.reduce(0) { $0 + $1.appended }
    var result = [Float](repeating: 0, count: count * stride)
    unsafe result.withUnsafeMutableBufferPointer { result in
      guard let start = result.baseAddress else { return }
      // SAFETY: the array has a row of every appended token and KV head.
      var first = 0
      for (index, sequence) in sequences.enumerated() {
        let tokens = sequence.filled..<sequence.length
        for kvHead in 0..<stored.kvHeads {
          unsafe write(
            layer, index, kvHead, tokens, start + first * stride + kvHead * width, stride)
        }
        first += tokens.count
      }
    }
    return result
  }

  /// Queries that ask for the needles, `[row][queryHead][keyWidth]`, not turned.
  ///
  /// - Parameters:
  ///   - layer: The layer.
  ///   - reader: Which engine will attend, with a rotation or none; that of the fill if nil.
  ///   - count: Rows of each sequence, its newest; all that it was made for if nil.
  /// - Returns: All rows' queries.
  package func checkQueries(
    layer: Int, for reader: AttentionEngine? = nil, rows count: Int? = nil
  ) -> [Float] {
    let attention = (reader ?? engine).layers[layer]
    let group = attention.queryHeads / rows.layers[layer].stored.kvHeads
    let directions = rows.layers[layer].needles.directionCount
    var result: [Float] = []
    for (index, sequence) in asking(count).enumerated() {
      for token in sequence.length - sequence.queries..<sequence.length {
        let position = rows.position(ofToken: token, sequence: index)
        for head in 0..<attention.queryHeads {
          result += rows.checkQuery(
            layer: layer, kvHead: head / group, direction: head % group % directions,
            position: position, rotary: attention.rotary(ofEpoch: rows.epoch))
        }
      }
    }
    return result
  }

  /// Queries of unit variance, `[row][queryHead][keyWidth]`.
  package func plainQueries(
    layer: Int, for reader: AttentionEngine? = nil, rows count: Int? = nil
  ) -> [Float] {
    let heads = (reader ?? engine).layers[layer].queryHeads
    let width = rows.layers[layer].stored.keyWidth
    var result: [Float] = []
    var row = [Float](repeating: 0, count: width)
    for (index, sequence) in asking(count).enumerated() {
      for token in sequence.length - sequence.queries..<sequence.length {
        for head in 0..<heads {
          let stream = rows.values.stream(.query, layer: layer, head: head, sequence: index)
          var span = row.mutableSpan
          rows.values.fill(&span, of: stream, token: token)
          result += row
        }
      }
    }
    return result
  }
}
