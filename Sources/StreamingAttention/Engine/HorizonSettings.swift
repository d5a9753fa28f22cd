import Glibc

/// What bounds the scores of a layer whose ALiBi heads look no further than they can see.
///
/// All numbers are on the safe side of what the kernels compute in f32 (Documentation/Attention.md, “ALiBi horizon”).
struct HorizonSettings: BitwiseCopyable {
  let epsilon: Float
  /// log2 ε.
  private(set) var logEpsilon: Double
  /// A score is at most this times the norms of its query and key, in units of log2.
  let scoreFactor: Double
  /// a² of YaRN and LongRoPE on the first `rotaryChannels` of a query.
  let rotaryScale: Double
  let rotaryChannels: Int
  /// The largest score after the softcap, and what the softcap may add by rounding; +∞ and 0 without one.
  let softcap: Double
  let softcapError: Double

  /// What the kernels may add to a bias of −slope·distance, as a part of it: roundings of slope·log2 e (2 u), of the
  /// bias in the leaf (u) and of its rest (u), with u = 2⁻²⁴.
  static let biasError = 0x1p-21
  /// What the kernels may add to log2 of a mass: 1.5 · 2⁻⁸ where probabilities are rounded to bf16 (log2 e times 2⁻⁸ and 1.6e-4 of their 2^x), 2⁻¹⁵ for
  /// other 2^x, the sums and the rescalings, both in what is skipped and in what it is compared with.
  static let massError = 0x1p-6

  /// Nil where nothing may be skipped.
  init?(_ layer: LayerAttention, keyWidth: Int, keyType: ElementType) {
    guard let alibi = layer.alibi, layer.alibiEpsilon > 0, alibi.slopes.contains(where: { $0 > 0 })
    else { return nil }
    epsilon = layer.alibiEpsilon
    logEpsilon = log2(Double(layer.alibiEpsilon))
    // A sum of n products loses at most n·u of Σ |q|·|k|, which the norms bound; turning and scaling a few u more.
    // A query rounded to bf16 grows by 2⁻⁸ at most.
    let rounding = Double(keyWidth + 64) * 0x1p-23 + (keyType == .bfloat16 ? 0x1p-8 : 0)
    let scale = layer.scale ?? 1 / Float(keyWidth).squareRoot()
    scoreFactor = Double(abs(scale)) * M_LOG2E * (1 + rounding)
    // The largest of all epochs: sequences differ.
    let factors = ([layer.rotary].compactMap(\.self) + layer.laterRotary).map(\.attentionFactor)
    rotaryScale = factors.reduce(factors.first.map { $0 * $0 } ?? 1) { max($0, $1 * $1) }
    rotaryChannels = 2 * (layer.rotary?.pairCount ?? 0)
    softcap = layer.softcap.map { Double($0) * M_LOG2E } ?? .infinity
    // (1 − e) ÷ (1 + e) cancels where the score is small: a few u of the cap.
    softcapError = layer.softcap.map { Double($0) * M_LOG2E * 0x1p-20 } ?? 0
  }

  /// The same bounds, by which nothing is left out: for scores that a bias raises.
  var readingAll: HorizonSettings {
    var settings = self
    settings.logEpsilon = -.infinity
    return settings
  }

  /// The largest score of a query with keys, by their norms; in units of log2.
  func largestScore(query: Double, key: Float) -> Double {
    min(query * Double(key), softcap) + softcapError
  }

  /// The norm of a query as the caller gives it, with what scales a score.
  func queryFactor(_ query: UnsafePointer<Float>, width: Int) -> Double {
    // SAFETY: the caller's row holds `width` floats.
    let turned = unsafe Self.squareSum(query, 0..<rotaryChannels) * rotaryScale * rotaryScale
    let rest = unsafe Self.squareSum(query, rotaryChannels..<width)
    return scoreFactor * (turned + rest).squareRoot()
  }

  private static func squareSum(_ row: UnsafePointer<Float>, _ range: Range<Int>) -> Double {
    var sums = SIMD4<Double>()
    var channel = range.lowerBound
    while channel + 4 <= range.upperBound {
      let four = unsafe SIMD4<Double>(
        SIMD4(row[channel], row[channel + 1], row[channel + 2], row[channel + 3]))
      sums += four * four
      channel += 4
    }
    var sum = sums.sum()
    while channel < range.upperBound {
      let x = unsafe Double(row[channel])
      sum += x * x
      channel += 1
    }
    return sum
  }
}
