import Glibc

/// How far back one query row must read: decided leaf by leaf, oldest first.
///
/// The keys of a leaf and of everything older lie at distances d, d + 1, … at least, so all their mass is at most
/// 2^(B − s·d) · min(N, 1 ÷ (1 − 2^−s)), with B the largest score that the norms allow, s = slope·log2 e and N slots.
/// Both B and −d only grow towards the newest leaf, so what can be left out is a run of oldest leaves.
struct HorizonRow: BitwiseCopyable {
  private let position: Int
  /// Keys before it are hidden by a window.
  private let firstVisible: Int
  /// The first leaf that is read whatever it holds.
  private let firstReference: Int
  /// Factor of a key's norm in a score.
  private let query: Double
  private let slope: Double
  /// log2 of the factor min(N, …) and of what rounding may add.
  private let spread: Double
  /// log2 of the reference leaves' mass S, and of ε·S.
  private let referenceMass: Double
  private let threshold: Double
  private var largestKey: Float = 0
  /// The first leaf that the row reads, as far as it is known.
  private(set) var cut: Int
  /// Whether older leaves than its references may still be left out.
  private(set) var isOpen: Bool
  /// log2 of the bound on what is left out; −∞ for nothing.
  private var skippedMass = -Double.infinity

  /// A row before its search: its natural `slope`, log2 Σ 2^score of its reference leaves, and the position of the
  /// `oldest` key of its sequence.
  init(
    settings: HorizonSettings, query: Double, slope: Float, position: Int, window: Int,
    oldest: Int, firstLeaf: Int, firstReference: Int, referenceMass: Double
  ) {
    self.position = position
    firstVisible = window == .max ? .min : position - window + 1
    self.firstReference = firstReference
    self.query = query
    self.slope = Double(slope) * M_LOG2E * (1 - HorizonSettings.biasError)
    self.referenceMass = referenceMass
    threshold = settings.logEpsilon + referenceMass
    // 1 − 2^−s = −expm1(−s ln 2).
    let slots = Double(max(position - max(firstVisible, oldest) + 1, 1))
    spread =
      min(log2(slots), -log2(-expm1(-self.slope * M_LN2))) + HorizonSettings.massError
    cut = firstLeaf
    isOpen = slope > 0 && slope < .infinity && referenceMass.isFinite && firstReference > firstLeaf
  }

  /// Looks at the next leaf: leaves it out, or ends the search.
  ///
  /// `largestKey` bounds the norms of the leaf's keys.
  mutating func look(
    at leaf: Int, lastPosition: Int, largestKey key: Float, settings: HorizonSettings
  ) {
    guard isOpen else { return }
    guard leaf < firstReference, lastPosition <= position else {
      isOpen = false
      return
    }
    if lastPosition >= firstVisible {
      largestKey = max(largestKey, key)
      let mass =
        settings.largestScore(query: query, key: largestKey)
        - slope * Double(position - lastPosition) + spread
      // Not above: what is not a number excludes nothing; and no cap bounds a key that is not one.
      guard mass <= threshold, largestKey < .infinity else {
        isOpen = false
        return
      }
      skippedMass = mass
    }
    cut = leaf + 1
  }

  /// Bound of what is left out, as a part of the row's whole mass; rounded up.
  var massBound: Float {
    skippedMass == -.infinity ? 0 : Float(exp2(skippedMass - referenceMass)).nextUp
  }
}
