import Glibc

/// The slow, obvious twin of attention: one query row over a list of tokens, in Double, summed with compensation.
///
/// Order of a score: scale·q·k → softcap → − slope·distance → + bias → mask; a sink enters the denominator once.
package struct ReferenceAttention: Sendable {
  package var scale: Double
  /// A key at position p is seen from t only if p ≤ t.
  package var isCausal: Bool
  /// A key at position p is seen from t only if t − p < window.
  package var window: Int?
  /// A key at position p is seen from t only if p − t ≤ rightWindow.
  package var rightWindow: Int?
  /// c in c·tanh(score ÷ c).
  package var softcap: Double?
  package var rotation: ReferenceRotation?
  package var arithmetic: ReferenceArithmetic

  package init(
    scale: Double, isCausal: Bool, window: Int? = nil, rightWindow: Int? = nil,
    softcap: Double? = nil,
    rotation: ReferenceRotation? = nil, arithmetic: ReferenceArithmetic = .init()
  ) {
    self.scale = scale
    self.isCausal = isCausal
    self.window = window
    self.rightWindow = rightWindow
    self.softcap = softcap
    self.rotation = rotation
    self.arithmetic = arithmetic
  }

  package func sees(_ position: Int, from query: Int) -> Bool {
    (!isCausal || position <= query) && (window.map { query - position < $0 } ?? true)
      && (rightWindow.map { position - query <= $0 } ?? true)
  }

  /// One query head at one position.
  ///
  /// - Parameters:
  ///   - query: as the caller gives it, neither scaled nor turned.
  ///   - position: the query's.
  ///   - tokens: all tokens of the sequence, in any order.
  ///   - slope: ALiBi's for this head; 0 for none.
  ///   - sink: the learned logit of this head.
  ///   - bias: added to the scores, one for each token, −∞ masks it; nil for none.
  /// - Returns: output and log-sum-exp with their bounds.
  package func row(
    query: [Float], at position: Int, over tokens: ReferenceTokens, slope: Double = 0,
    sink: Double? = nil, bias: ArraySlice<Float>? = nil
  ) -> ReferenceRow {
    let biases = bias.map { $0.map(Double.init) }
    var visible: [Int] = []
    for token in 0..<tokens.count where sees(tokens.positions[token], from: position) {
      if biases?[token] != -.infinity { visible.append(token) }
    }
    guard !visible.isEmpty else {
      let zeros = [Double](repeating: 0, count: tokens.valueWidth)
      let lse = sink ?? -.infinity
      return ReferenceRow(
        output: zeros, logSumExp: lse, outputBound: zeros, logSumExpBound: 0)
    }
    var scores: [Double] = []
    var errors: [Double] = []
    // Those of integers, which are independent of one another.
    var codeErrors: [Double] = []
    var prepared = PreparedQuery(anchor: .min, isRounded: false)
    for token in visible {
      let isRounded = arithmetic.roundsQueries && !tokens.areTurnedWhenRead[token]
      if prepared.anchor != tokens.anchors[token] || prepared.isRounded != isRounded {
        prepared = prepare(
          query, at: position, anchor: tokens.anchors[token], isRounded: isRounded)
      }
      var (score, error) = product(prepared, tokens, token)
      let distance = Double((position - tokens.positions[token]).magnitude)
      if let softcap {
        score = softcap * tanh(score / softcap)
        error += 18 * ReferenceArithmetic.f32 * softcap
      }
      let extra = biases?[token] ?? 0
      error += 4 * ReferenceArithmetic.f32 * (score.magnitude + slope * distance + extra.magnitude)
      scores.append(score - slope * distance + extra)
      errors.append(error)
      codeErrors.append((tokens.codes[token]?.scoreUnit ?? 0) * prepared.length)
    }
    return normalised(scores, errors, codeErrors, tokens, visible, sink)
  }

  /// A query turned, scaled, and perhaps rounded, for keys of one anchor.
  private struct PreparedQuery {
    var anchor: Int
    /// Whether the code under test rounds it to bf16.
    var isRounded: Bool
    var channels: [Double] = []
    /// What bounds each channel's rounding errors.
    var magnitudes: [Double] = []
    /// How far a channel jumps if its rounding to bf16 goes the other way.
    var jumps: [Double] = []
    /// √Σ channel².
    var length = 0.0
  }

  private func prepare(
    _ query: [Float], at position: Int, anchor: Int, isRounded: Bool
  ) -> PreparedQuery {
    let query = query.map(Double.init)
    var result = PreparedQuery(anchor: anchor, isRounded: isRounded)
    result.channels = rotation?.turned(query, by: position - anchor) ?? query
    result.magnitudes = rotation?.magnitudes(of: query) ?? query.map(\.magnitude)
    var factors = [Double](repeating: scale, count: query.count)
    if let rotation {
      // a on the query's and on the key's rotary channels.
      for pair in rotation.frequencies.indices {
        let (first, second) = rotation.channels(ofPair: pair)
        factors[first] *= rotation.attentionFactor * rotation.attentionFactor
        factors[second] *= rotation.attentionFactor * rotation.attentionFactor
      }
    }
    for channel in query.indices {
      result.channels[channel] *= factors[channel]
      result.magnitudes[channel] *= factors[channel].magnitude
    }
    result.length = result.channels.reduce(0) { $0 + $1 * $1 }.squareRoot()
    result.jumps = [Double](repeating: 0, count: query.count)
    if isRounded && arithmetic.roundsQueriesToo { round(&result) }
    return result
  }

  /// Rounds a query to bf16 as the code under test does: in units of log2, unless a softcap follows.
  private func round(_ query: inout PreparedQuery) {
    let unit = softcap == nil ? M_LOG2E : 1
    for channel in query.channels.indices {
      let x = query.channels[channel] * unit
      let doubt =
        ReferenceArithmetic.queryRoundings * ReferenceArithmetic.f32 * query.magnitudes[channel]
        * unit
      query.channels[channel] = ReferenceArithmetic.bfloat16(x) / unit
      query.jumps[channel] =
        (ReferenceArithmetic.bfloat16(x + doubt) - ReferenceArithmetic.bfloat16(x - doubt)) / unit
    }
  }

  /// Σ q̃·k of one token, and how far it may be off.
  private func product(
    _ query: PreparedQuery, _ tokens: ReferenceTokens, _ token: Int
  ) -> (score: Double, error: Double) {
    let width = tokens.keyWidth
    var (score, magnitude, squares, jump) = (0.0, 0.0, 0.0, 0.0)
    let first = token * width
    for channel in 0..<width {
      let term = query.channels[channel] * tokens.keys[first + channel]
      score += term
      squares += term * term
      magnitude += query.magnitudes[channel] * tokens.keyMagnitudes[first + channel]
      jump += query.jumps[channel] * tokens.keys[first + channel].magnitude
    }
    typealias Units = ReferenceArithmetic
    var roundings = Units.queryRoundings + 2 + Units.roundings(ofSum: width)
    if tokens.areTurnedWhenRead[token] { roundings += Units.keyRoundings }
    var error = (roundings * Units.f32 + arithmetic.keyUnit) * magnitude
    if query.isRounded {
      error +=
        arithmetic.roundsQueriesToo
        ? jump : Units.bf16 * min(magnitude, Units.lambda * squares.squareRoot())
    }
    return (score, error)
  }

  private func normalised(
    _ scores: [Double], _ scoreErrors: [Double], _ codeErrors: [Double],
    _ tokens: ReferenceTokens, _ visible: [Int], _ sink: Double?
  ) -> ReferenceRow {
    typealias Units = ReferenceArithmetic
    let u = Units.f32
    let maximum = scores.reduce(sink ?? -.infinity, max)
    let rescalings = (visible.count + 63) / 64 + 14
    var denominator = CompensatedSum()
    for score in scores { denominator += exp(score - maximum) }
    if let sink { denominator += exp(sink - maximum) }
    let total = denominator.value

    var weights: [Double] = []
    var (errors, largest, meanError, squares) = ([Double](), 0.0, 0.0, 0.0)
    for (score, scoreError) in zip(scores, scoreErrors) {
      let weight = exp(score - maximum) / total
      let error =
        scoreError + u * max(maximum - score, Units.slack)
        + u
        * (5 * Double(rescalings) + 3
          + (arithmetic.roundsProbabilities ? Units.shortExponential : 0))
      weights.append(weight)
      errors.append(error)
      largest = max(largest, error)
      meanError += weight * error
      squares += weight * weight
    }
    let sinkWeight = sink.map { exp($0 - maximum) / total } ?? 0
    let sinkError = sink.map { 4 * u * (1 + $0.magnitude + maximum.magnitude) } ?? 0
    largest = max(largest, sinkError)
    meanError += sinkWeight * sinkError

    let width = tokens.valueWidth
    var sums = [CompensatedSum](repeating: CompensatedSum(), count: width)
    for (weight, token) in zip(weights, visible) {
      for channel in 0..<width { sums[channel] += weight * tokens.values[token * width + channel] }
    }
    let output = sums.map(\.value)

    var shifts = output.map { sinkWeight * sinkError * $0.magnitude }
    var spreads = output.map { sinkWeight * $0.magnitude }
    var variances = output.map { sinkWeight * sinkWeight * $0 * $0 }
    var magnitudes = [Double](repeating: 0, count: width)
    var codeVariances = magnitudes
    let codeSquares = squaredErrors(ofCodes: codeErrors, weights, tokens, visible)
    for (index, token) in visible.enumerated() {
      let (weight, error) = (weights[index], errors[index])
      for channel in 0..<width {
        let value = tokens.values[token * width + channel]
        let distance = (value - output[channel]).magnitude
        let spread = weight * distance
        shifts[channel] += spread * error
        spreads[channel] += spread
        variances[channel] += spread * spread
        codeVariances[channel] += codeSquares[index] * distance * distance
        magnitudes[channel] += weight * tokens.valueMagnitudes[token * width + channel]
      }
    }
    let secondOrder = exp(2 * largest)
    let sumRoundings = Units.roundings(ofSum: visible.count + rescalings + 3)
    let laneRoundings = Units.roundings(ofSum: visible.count / 16 + rescalings + 24)
    let bounds = (0..<width).map { channel in
      var bound = secondOrder * shifts[channel] + sumRoundings * u * magnitudes[channel]
      bound += (laneRoundings + 4) * u * output[channel].magnitude + 1e-30
      bound += secondOrder * Units.lambda * codeVariances[channel].squareRoot()
      if arithmetic.roundsProbabilities {
        bound +=
          Units.bf16 * min(spreads[channel], Units.lambda * variances[channel].squareRoot())
      }
      return bound
    }
    let lse = maximum + log(total)
    var lseBound = secondOrder * meanError + laneRoundings * u + 2 * u * lse.magnitude + 1e-30
    lseBound += secondOrder * Units.lambda * codeSquares.reduce(0, +).squareRoot()
    if arithmetic.roundsProbabilities {
      lseBound += Units.bf16 * min(1, Units.lambda * squares.squareRoot())
    }
    return ReferenceRow(
      output: output, logSumExp: lse, outputBound: bounds, logSumExpBound: lseBound)
  }

  /// Squares of how far weights may be off because integers stand for queries and probabilities.
  private func squaredErrors(
    ofCodes scoreErrors: [Double], _ weights: [Double], _ tokens: ReferenceTokens, _ visible: [Int]
  ) -> [Double] {
    var largest: [Int: Double] = [:]
    for (weight, token) in zip(weights, visible) {
      if let page = tokens.codes[token]?.page { largest[page] = max(largest[page] ?? 0, weight) }
    }
    return visible.indices.map { index in
      guard let codes = tokens.codes[visible[index]] else { return 0 }
      let score = weights[index] * scoreErrors[index]
      let weight = codes.weightUnit * (largest[codes.page] ?? 0)
      return score * score + weight * weight
    }
  }
}
