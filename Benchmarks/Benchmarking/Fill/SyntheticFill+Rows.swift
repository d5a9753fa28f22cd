package import StreamingAttention

/// What the measured step appends and asks: all sequences one after the other, as the engine takes it.
extension SyntheticFill {
  /// Keys of the appended tokens, `[token][kvHead][keyWidth]`, not turned.
  ///
  /// - Parameters:
  ///   - layer: The layer.
  ///   - step: Which one of every sequence's tokens; all if nil.
  /// - Returns: The rows of one sequence after those of another.
  package func appendedKeys(layer: Int, step: Int? = nil) -> [Float] {
    unsafe appended(
      layer: layer, step: step, width: rows.layers[layer].stored.keyWidth, rows.writeKeys)
  }

  /// Values of the appended tokens, `[token][kvHead][valueWidth]`, as ``appendedKeys(layer:step:)``.
  package func appendedValues(layer: Int, step: Int? = nil) -> [Float] {
    unsafe appended(
      layer: layer, step: step, width: rows.layers[layer].stored.valueWidth, rows.writeValues)
  }

  private typealias RowWriter = (Int, Int, Int, Range<Int>, UnsafeMutablePointer<Float>, Int) ->
    Void

  @unsafe private func appended(
    layer: Int, step: Int?, width: Int, _ write: RowWriter
  ) -> [Float] {
    let stored = rows.layers[layer].stored
    let stride = stored.kvHeads * width
    let count = sequences.reduce(0) { $0 + (step == nil ? $1.appended : 1) }
    var result = [Float](repeating: 0, count: count * stride)
    unsafe result.withUnsafeMutableBufferPointer { result in
      guard let start = result.baseAddress else { return }
      // SAFETY: the array has a row of every appended token and KV head.
      var first = 0
      for (index, sequence) in sequences.enumerated() {
        if let step { precondition(step < sequence.appended, "step \(step)") }
        let tokens =
          step.map { sequence.filled + $0..<sequence.filled + $0 + 1 }
          ?? sequence.filled..<sequence.length
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
    let sequences = asking(count)
    var result: [Float] = []
    result.reserveCapacity(
      sequences.reduce(0) { $0 + $1.queries } * attention.queryHeads
        * rows.layers[layer].stored.keyWidth)
    for (index, sequence) in sequences.enumerated() {
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
    let sequences = asking(count)
    var result: [Float] = []
    result.reserveCapacity(sequences.reduce(0) { $0 + $1.queries } * heads * width)
    var row = [Float](repeating: 0, count: width)
    for (index, sequence) in sequences.enumerated() {
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

  /// Queries of nearly unit variance at right angles to all that is planted, `[row][queryHead][keyWidth]`, not turned.
  ///
  /// Where they ask, a needle scores about 0 and weighs what an ordinary key weighs, though it is several times as long; so the
  /// ordinary keys make the answer. Where planted ones may make it all the same, queries are shorter by as much as those keys are longer. Without needles they are ``plainQueries(layer:for:rows:)``.
  package func ordinaryQueries(
    layer: Int, for reader: AttentionEngine? = nil, rows count: Int? = nil
  ) -> [Float] {
    var result = plainQueries(layer: layer, for: reader, rows: count)
    guard options.needles == .planted else { return result }
    let attention = (reader ?? engine).layers[layer]
    let stored = rows.layers[layer].stored
    let (width, group) = (stored.keyWidth, attention.queryHeads / stored.kvHeads)
    let divisor = meetsPlanted(by: attention) ? plantedLength(layer: layer) : 1
    let directions = (0..<stored.kvHeads).map { plantedDirections(layer: layer, kvHead: $0) }
    let rotary = attention.rotary(ofEpoch: rows.epoch)
    var first = 0
    for (index, sequence) in asking(count).enumerated() {
      for token in sequence.length - sequence.queries..<sequence.length {
        let position = rows.position(ofToken: token, sequence: index)
        for head in 0..<attention.queryHeads {
          let query = result[first..<first + width].map(Double.init)
          let turned = Self.withoutParts(
            along: directions[head / group], rotary?.turned(query, by: position) ?? query)
          let answer = rotary?.turned(turned, by: -position) ?? turned
          for channel in 0..<width { result[first + channel] = Float(answer[channel] / divisor) }
          first += width
        }
      }
    }
    return result
  }

  /// Directions of the needles of a KV head, each of length 1 and at right angles to the others.
  private func plantedDirections(layer: Int, kvHead: Int) -> [[Double]] {
    let needles = rows.layers[layer].needles
    var directions: [[Double]] = []
    for direction in 0..<needles.directionCount {
      let signs = needles.signs(rows.values, layer: layer, kvHead: kvHead, direction: direction)
      let rest = Self.withoutParts(along: directions, signs)
      let length = rest.reduce(0) { $0 + $1 * $1 }.squareRoot()
      // Two directions may be one where there are few channels.
      if length > 1e-6 { directions.append(rest.map { $0 / length }) }
    }
    return directions
  }

  /// `vector` less its parts along directions of length 1 (Gram and Schmidt, modified).
  private static func withoutParts(along directions: [[Double]], _ vector: [Double]) -> [Double] {
    var rest = vector
    for direction in directions {
      let part = zip(rest, direction).reduce(0) { $0 + $1.0 * $1.1 }
      for channel in rest.indices { rest[channel] -= part * direction[channel] }
    }
    return rest
  }

  /// How many times as long as an ordinary key a planted one is.
  private func plantedLength(layer: Int) -> Double {
    max(1, rows.layers[layer].needles.keyAmplitude)
  }

  /// Whether planted keys may make the whole answer to an ordinary query: a bias prefers the newest, many of which are planted, and
  /// those of other anchors have other directions to an engine that does not turn.
  private func meetsPlanted(by attention: LayerAttention) -> Bool {
    attention.alibi != nil || (options.anchorRun != nil && attention.rotary == nil)
  }

  /// How much longer than an ordinary key those are, in the quadratic mean, that make the answer to an ordinary query which sees
  /// some tokens of a KV head.
  ///
  /// All weigh about alike. 1 where queries have been shortened instead.
  func keyLength(
    layer: Int, sequence: Int, kvHead: Int, tokens: Range<Int>, for reader: AttentionEngine
  ) -> Double {
    guard options.needles == .planted, !meetsPlanted(by: reader.layers[layer]) else {
      return 1
    }
    let longest = plantedLength(layer: layer)
    let planted = rows.needles(layer: layer, sequence: sequence, kvHead: kvHead, tokens: tokens)
    let part = Double(planted.count) / Double(max(tokens.count, 1))
    return (1 + (longest * longest - 1) * part).squareRoot()
  }
}
