import StreamingAttention

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The answer to the check queries of one query head, in closed form, with what may be between it and an output.
///
/// **The answer** is Σ w·v over the needles that a row sees, w = e^score ÷ Σ e^score, in Double over keys and values rounded
/// as the cache stores them; no page is read. Ordinary keys are left out: a row's *bulk* is what all of them weigh at most
/// beside the needles. A score of theirs is a sum of d products with a normal distribution's moments or less,
/// deviation σ = scale·s·√Σf² (f: the squared attention factor on rotary channels, else 1), and exceeds 8σ with probability
/// e^(−32): so n of them weigh n·e^(8σ), with ALiBi Σ e^(8σ − slope·distance).
///
/// **The tolerance.** Scores that are off by δ move the answer by Σ w·δ·|v − o| ≤ max δ·√Σ w(v − o)², times e^(2δ) for the
/// second order. δ has these parts, with u = 2⁻²⁴, b = 2⁻⁸ and A = scale·Σ f·|q|·|k|, where |q| and |k| are lengths of pairs:
/// - sums and turns in f32: (19 + min(d, λ·√d))·u·A: 16 roundings of a prepared query's channel, one of the caller's, two of
///   the score, and those of the sum;
/// - a key that is turned once more when it is read: another 5u·A, 3 roundings of two products;
/// - a stored key's channel that may round either way, for its turn is off by 6u: its jump·|q|;
/// - where queries are rounded to bf16: keys of one anchor and direction are stored alike, so that error is common to
///   them and cancels; needles of several anchors or epochs (some of whose queries stay in f32) may differ by 2·b·min(A, λ·A ÷ √d);
/// - ALiBi: 4u·(|score| + slope·distance); the softcap: 18u·c;
/// - exponentials and rescalings: u·(40 + 5·(needles + 24) + 3), where 40 is the largest difference that counts and the
///   maximum grows at most once per needle and in 24 merges.
///
/// Probabilities in bf16 add b·min(1, λ·√max w)·√Σ w(v − o)²; the sum of the needles u·min(n, λ·√n)·√Σ w·v²; normalising
/// 4u·|o|; the bulk 4·max|v| times its share (once for its values, once for the roundings of its additions), and what a
/// horizon skipped 2·max|v| times its share.
struct KnownAnswer {
  /// One needle as this query head sees it.
  private struct Weighed {
    var token: Int
    var position: Int
    var anchor: Int
    var keyEpoch: Int
    /// Before ALiBi, in natural units.
    var score: Double
    /// δ without the parts that depend on the row.
    var error: Double
    /// Index of its value.
    var value: Int
  }

  /// A pair of row and head is compared if the bulk moves its answer by no more than this.
  private static let sharpness = 1e-3

  private let valueWidth: Int
  private let slope: Double
  private let sink: Double?
  private let isCausal: Bool
  private let window: Int
  private let roundsProbabilities: Bool
  /// Between needles of two anchors.
  private let anchorError: Double
  /// ln of what one ordinary key weighs at most, before ALiBi.
  private let bulkScore: Double
  private var needles: [Weighed] = []
  // [needle, channel]
  private var values: [Double] = []

  /// Weighs the needles of a sequence for one query head of a reader.
  init(_ rows: SyntheticRows, layer: Int, sequence: Int, queryHead: Int, reader: AttentionEngine) {
    let (planned, attention) = (rows.layers[layer], reader.layers[layer])
    let stored = planned.stored
    let group = attention.queryHeads / stored.kvHeads
    let kvHead = queryHead / group
    let width = stored.keyWidth
    let rounds = reader.dotsPairs
    valueWidth = stored.valueWidth
    slope = attention.alibi.map { Double($0.slopes[queryHead]) } ?? 0
    sink = attention.sinks.map { Double($0[queryHead]) }
    isCausal = attention.mask == .causal
    window = attention.window ?? .max
    roundsProbabilities = rounds && stored.valueType == .bfloat16

    let scale = Double(attention.scale ?? 1 / Float(width).squareRoot())
    let cap = attention.softcap.map(Double.init)
    var factors = [Double](repeating: scale.magnitude, count: width)
    let rotary = attention.rotary(ofEpoch: rows.epoch)
    if let rotary {
      for pair in 0..<rotary.pairCount {
        let (first, second) = rotary.channels(ofPair: pair)
        factors[first] *= rotary.attentionFactor * rotary.attentionFactor
        factors[second] *= rotary.attentionFactor * rotary.attentionFactor
      }
    }
    let direction = queryHead % group % planned.needles.directionCount
    let query = planned.needles.signs(
      rows.values, layer: layer, kvHead: kvHead, direction: direction
    ).map { $0 * NeedleShape.queryAmplitude }
    let squares = factors.reduce(0) { $0 + $1 * $1 }
    bulkScore = 8 * NeedleShape.queryAmplitude * squares.squareRoot()
    // Lengths of pairs: √2 of a channel on either side where both turn.
    let magnitude =
      2 * NeedleShape.queryAmplitude * planned.needles.keyAmplitude * factors.reduce(0, +)
    anchorError =
      rounds && stored.keyType == .bfloat16
      ? 2 * Rounding.bf16 * magnitude * min(1, Rounding.lambda / Double(width).squareRoot()) : 0

    for needle in rows.needles(
      layer: layer, sequence: sequence, kvHead: kvHead, tokens: 0..<rows.sequences[sequence].length)
    {
      let anchor = rows.anchor(ofToken: needle.token, sequence: sequence)
      let position = rows.position(ofToken: needle.token, sequence: sequence)
      let keyEpoch = rows.keyEpoch(ofToken: needle.token, sequence: sequence)
      let (key, jumps) = Self.storedKey(
        rows, layer: layer, sequence: sequence, kvHead: kvHead, needle: needle)
      var seen = rotary?.turned(key, by: anchor) ?? key
      var roundings = 19 + Rounding.ofSum(width)
      if let rotary, keyEpoch != rows.epoch {
        let stored = rows.rotary(layer: layer, keyEpoch: keyEpoch)
        seen = rotary.turned(
          stored?.turned(key, by: anchor - position) ?? key, by: position)
        roundings += 5
      }
      var (score, jump) = (0.0, 0.0)
      for channel in 0..<width {
        score += factors[channel] * query[channel] * seen[channel]
        jump += factors[channel] * 2.0.squareRoot() * NeedleShape.queryAmplitude * jumps[channel]
      }
      score *= scale < 0 ? -1 : 1
      var error = roundings * Rounding.f32 * magnitude
      error += (1 + (anchorError > 0 ? Rounding.bf16 : 0)) * jump
      if let cap {
        score = cap * tanh(score / cap)
        error += 18 * Rounding.f32 * cap
      }
      needles.append(
        Weighed(
          token: needle.token, position: position, anchor: anchor, keyEpoch: keyEpoch, score: score,
          error: error, value: needles.count))
      var row = [Float](repeating: 0, count: valueWidth)
      var span = row.mutableSpan
      let stream = rows.values.stream(.value, layer: layer, head: kvHead, sequence: sequence)
      rows.values.fill(&span, of: stream, token: needle.token)
      values += row.map { stored.valueType.stored(Double($0)) }
    }
  }

  /// A needle's key as the cache stores it, in the caller's order of channels, and how far each channel jumps if its
  /// rounding goes the other way.
  static func storedKey(
    _ rows: SyntheticRows, layer: Int, sequence: Int, kvHead: Int, needle: Needle
  ) -> (key: [Double], jumps: [Double]) {
    let planned = rows.layers[layer]
    let type = planned.stored.keyType
    let raw = rows.key(of: needle, layer: layer, sequence: sequence, kvHead: kvHead)
      .map(Double.init)
    let keyEpoch = rows.keyEpoch(ofToken: needle.token, sequence: sequence)
    guard let rotary = rows.rotary(layer: layer, keyEpoch: keyEpoch) else {
      return (raw.map(type.stored), [Double](repeating: 0, count: raw.count))
    }
    let distance =
      rows.position(ofToken: needle.token, sequence: sequence)
      - rows.anchor(ofToken: needle.token, sequence: sequence)
    let turned = rotary.turned(raw, by: distance)
    // A pair's length is √2·c; its turn is off by three roundings of two products.
    let doubt = 6 * Rounding.f32 * 2.0.squareRoot() * planned.needles.keyAmplitude
    return (
      turned.map(type.stored), turned.map { type.stored($0 + doubt) - type.stored($0 - doubt) }
    )
  }

  /// Sums over the needles that a row sees; weights are relative to e^top.
  private struct Mixture {
    var total = 0.0
    var largest = 0.0
    var count = 0
    var error = 0.0
    /// A needle of the sum; others may be stored differently.
    var first: Int?
    // [channel]
    var sums: [Double]
    var squares: [Double]

    init(width: Int) {
      sums = [Double](repeating: 0, count: width)
      squares = sums
    }
  }

  /// Compares the rows of this head, whose numbers begin `stride` apart, with the answer.
  ///
  /// - Precondition: `output` holds `tokens.count` rows at that stride.
  @unsafe func check(
    _ output: UnsafePointer<Float>, stride: Int, tokens: Range<Int>, position: (Int) -> Int,
    skippedMass: Double
  ) -> SelfCheck {
    var result = SelfCheck()
    // Without biases and windows a row sees what the one before saw, and more.
    let isCumulative = slope == 0 && window == .max
    var mixture = Mixture(width: valueWidth)
    var next = 0
    let highest = needles.reduce(-Double.infinity) { max($0, $1.score) }
    for (row, token) in tokens.enumerated() {
      var visible = next
      while visible < needles.count, !isCausal || needles[visible].token <= token { visible += 1 }
      let at = position(token)
      var top = highest
      if isCumulative {
        for index in next..<visible {
          add(index, from: at, top: top, &mixture)
        }
      } else {
        mixture = Mixture(width: valueWidth)
        let seen = (0..<visible).filter { at - needles[$0].position < window }
        top = seen.reduce(-Double.infinity) { max($0, biased($1, from: at)) }
        for index in seen { add(index, from: at, top: top, &mixture) }
      }
      next = visible
      guard mixture.total > 0 else { continue }
      if let compared = unsafe compare(
        output + row * stride, mixture, top: top, visibleKeys: min(token + 1, window),
        skippedMass: skippedMass)
      {
        result.merge(compared)
      }
    }
    return result
  }

  private func biased(_ index: Int, from position: Int) -> Double {
    needles[index].score - slope * Double((position - needles[index].position).magnitude)
  }

  private func isStoredAlike(_ a: Int, _ b: Int) -> Bool {
    needles[a].anchor == needles[b].anchor && needles[a].keyEpoch == needles[b].keyEpoch
  }

  private func add(
    _ index: Int, from position: Int, top: Double, _ mixture: inout Mixture
  ) {
    let score = biased(index, from: position)
    // What weighs less is far below the bulk's bound.
    guard score > top - 40 else { return }
    let weight = exp(score - top)
    mixture.total += weight
    mixture.largest = max(mixture.largest, weight)
    mixture.count += 1
    let bias = needles[index].score - score
    let error =
      needles[index].error + 4 * Rounding.f32 * (needles[index].score.magnitude + bias)
      + (isStoredAlike(index, mixture.first ?? index) ? 0 : anchorError)
    mixture.first = mixture.first ?? index
    mixture.error = max(mixture.error, error)
    let first = needles[index].value * valueWidth
    for channel in 0..<valueWidth {
      let value = values[first + channel]
      mixture.sums[channel] += weight * value
      mixture.squares[channel] += weight * value * value
    }
  }

  /// Nil where ordinary keys may weigh too much for a closed form.
  @unsafe private func compare(
    _ output: UnsafePointer<Float>, _ mixture: Mixture, top: Double, visibleKeys: Int,
    skippedMass: Double
  ) -> SelfCheck? {
    let u = Rounding.f32
    let sinkWeight = sink.map { exp($0 - top) } ?? 0
    let total = mixture.total + sinkWeight
    var keys = Double(visibleKeys)
    if slope > 0 { keys = min(keys, (isCausal ? 1 : 2) / -expm1(-slope)) }
    let bulk = keys * exp(bulkScore - top) / total
    let largestValue = SyntheticValues.largest
    guard 4 * largestValue * bulk <= Self.sharpness else { return nil }

    var error = mixture.error + u * (40 + 5 * Double(mixture.count + 24) + 3)
    if let sink { error = max(error, 4 * u * (1 + sink.magnitude + top.magnitude)) }
    error *= exp(2 * error)
    if roundsProbabilities {
      error +=
        Rounding.bf16 * min(1, Rounding.lambda * (mixture.largest / total).squareRoot())
    }
    let sum = Rounding.ofSum(2 * mixture.count + 27) * u
    let constant = 4 * largestValue * bulk + 2 * largestValue * skippedMass + 1e-30
    var (worst, largest, tolerance) = (-1.0, 0.0, 0.0)
    for channel in 0..<valueWidth {
      let answer = mixture.sums[channel] / total
      let square = mixture.squares[channel] / total
      let deviation = max(square - answer * answer, 0).squareRoot()
      let allowed =
        error * deviation + sum * square.squareRoot() + 4 * u * answer.magnitude + constant
      var difference = (Double(unsafe output[channel]) - answer).magnitude
      if difference.isNaN { difference = .infinity }
      largest = max(largest, difference)
      if difference / allowed > worst { (worst, tolerance) = (difference / allowed, allowed) }
    }
    return SelfCheck(maximumError: largest, tolerance: tolerance, ratio: worst)
  }
}
