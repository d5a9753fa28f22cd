package import StreamingAttention

/// Keys, values and queries of every layer as a caller of the engine would hand them over.
struct SyntheticRows: Sendable {
  /// One layer.
  struct Layer: Sendable {
    var stored: LayerShape
    /// What turns the queries, and makes keys answer them; nil where nothing does.
    var rotary: RotaryEmbedding?
    /// The frequencies of epoch 1: those, unless the cache holds pages of an old epoch.
    var firstRotary: RotaryEmbedding?
    var needles: NeedleShape
    /// `[sequence]`; empty where nothing is planted.
    var plans: [NeedlePlan]
  }

  let values: SyntheticValues
  let layers: [Layer]
  let sequences: [FillSequence]
  let anchorRun: Int?
  let rotation: FilledRotation

  /// Whose frequencies turn the queries.
  var epoch: Int { rotation.last.epoch }

  // MARK: Positions

  /// How many changes of the anchor lie before a token: its anchor, too.
  func anchor(ofToken token: Int, sequence: Int) -> Int {
    guard let run = anchorRun else { return 0 }
    return min(token, max(sequences[sequence].filled - 1, 0)) / run
  }

  func position(ofToken token: Int, sequence: Int) -> Int {
    token + anchor(ofToken: token, sequence: sequence)
  }

  /// The epoch of a token's page; 0 where its key is stored unturned.
  func keyEpoch(ofToken token: Int, sequence: Int) -> Int {
    let first = rotation.firstOfLast(filled: sequences[sequence].filled)
    let state = token < first ? rotation.first : rotation.last
    return state.keys == .whenRead ? 0 : state.epoch
  }

  /// What turned keys of an epoch as they were stored; nil where nothing did.
  func rotary(layer: Int, keyEpoch: Int) -> RotaryEmbedding? {
    keyEpoch == 0 ? nil : keyEpoch == epoch ? layers[layer].rotary : layers[layer].firstRotary
  }

  // MARK: Rows

  /// Writes the keys of some tokens of one KV head, `[token][keyWidth]`, `stride` floats apart.
  ///
  /// - Precondition: `rows` holds them.
  @unsafe func writeKeys(
    layer: Int, sequence: Int, kvHead: Int, tokens: Range<Int>,
    to rows: UnsafeMutablePointer<Float>, stride: Int
  ) {
    let width = layers[layer].stored.keyWidth
    let stream = values.stream(.key, layer: layer, head: kvHead, sequence: sequence)
    for token in tokens {
      let row = unsafe rows + (token - tokens.lowerBound) * stride
      unsafe values.fill(row, count: width, of: stream, token: token)
    }
    for needle in needles(layer: layer, sequence: sequence, kvHead: kvHead, tokens: tokens) {
      let row = unsafe rows + (needle.token - tokens.lowerBound) * stride
      let key = self.key(of: needle, layer: layer, sequence: sequence, kvHead: kvHead)
      for channel in 0..<width { unsafe row[channel] = key[channel] }
    }
  }

  /// Writes the values of some tokens of one KV head, `[token][valueWidth]`, `stride` floats apart.
  ///
  /// - Precondition: `rows` holds them.
  @unsafe func writeValues(
    layer: Int, sequence: Int, kvHead: Int, tokens: Range<Int>,
    to rows: UnsafeMutablePointer<Float>, stride: Int
  ) {
    let width = layers[layer].stored.valueWidth
    let stream = values.stream(.value, layer: layer, head: kvHead, sequence: sequence)
    for token in tokens {
      let row = unsafe rows + (token - tokens.lowerBound) * stride
      unsafe values.fill(row, count: width, of: stream, token: token)
    }
  }

  func needles(
    layer: Int, sequence: Int, kvHead: Int, tokens: Range<Int>
  ) -> ArraySlice<Needle> {
    guard !layers[layer].plans.isEmpty else { return [] }
    let all = layers[layer].plans[sequence].heads[kvHead]
    func firstIndex(from token: Int) -> Int {
      var (low, high) = (0, all.count)
      while low < high {
        let middle = (low + high) / 2
        if all[middle].token < token { low = middle + 1 } else { high = middle }
      }
      return low
    }
    return all[firstIndex(from: tokens.lowerBound)..<firstIndex(from: tokens.upperBound)]
  }

  /// R(−position)·c·w: the key of a needle before the cache turns it.
  func key(of needle: Needle, layer: Int, sequence: Int, kvHead: Int) -> [Float] {
    let shape = layers[layer].needles
    let signs = shape.signs(values, layer: layer, kvHead: kvHead, direction: needle.direction)
    let key = signs.map { $0 * shape.keyAmplitude }
    let position = position(ofToken: needle.token, sequence: sequence)
    return (layers[layer].rotary?.turned(key, by: -position) ?? key).map { Float($0) }
  }

  /// R(−position)·s·w: a query that a rotation turns to s·w.
  func checkQuery(
    layer: Int, kvHead: Int, direction: Int, position: Int, rotary: RotaryEmbedding?
  ) -> [Float] {
    let signs = layers[layer].needles.signs(
      values, layer: layer, kvHead: kvHead, direction: direction)
    let query = signs.map { $0 * NeedleShape.queryAmplitude }
    return (rotary?.turned(query, by: -position) ?? query).map { Float($0) }
  }
}

extension RotaryEmbedding {
  /// R(distance)·x in Double, in the caller's order of channels, without the attention factor.
  package func turned(_ x: [Double], by distance: Int) -> [Double] {
    var result = x
    for pair in 0..<pairCount {
      let (first, second) = channels(ofPair: pair)
      let (cosine, sine) = rates[pair].turn(by: distance)
      result[first] = x[first] * cosine - x[second] * sine
      result[second] = x[first] * sine + x[second] * cosine
    }
    return result
  }
}
