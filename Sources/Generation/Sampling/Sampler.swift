internal import Glibc

/// Chooses one token after the other, as `Sampling` says.
///
/// A choice depends on the options, the logits, the tokens observed so far and the number of choices before it,
/// and on nothing else: not on threads or time. All arithmetic is in `Double`. A copy continues as the original
/// would. Nothing is allocated after `init`.
public struct Sampler: Sendable {
  /// The options.
  public let sampling: Sampling
  private var random: SplitMix64
  private var isObserved: [Bool]  // [token]
  private var scores: [Double]  // [token]: logits after the penalty
  private var weights: [Double]  // [candidate]: probability × a common factor
  private var ranking: Ranking

  /// A sampler for logits of that many tokens.
  ///
  /// - Precondition: `vocabularyCount` is not negative.
  public init(_ sampling: Sampling, vocabularyCount: Int) {
    precondition(vocabularyCount >= 0, "a vocabulary of \(vocabularyCount) tokens")
    self.sampling = sampling
    random = SplitMix64(seed: sampling.seed)
    isObserved = Array(repeating: false, count: vocabularyCount)
    scores = Array(repeating: 0, count: vocabularyCount)
    weights = scores
    ranking = Ranking(count: vocabularyCount)
  }

  /// The number of tokens.
  public var vocabularyCount: Int { scores.count }

  /// Notes a token that the model read, of the prompt or its own answer: the repetition penalty is for these.
  ///
  /// - Throws: ``SamplingError/tokenOutOfRange(received:allowed:)``.
  public mutating func observe(_ token: Int) throws(SamplingError) {
    guard isObserved.indices.contains(token) else {
      throw .tokenOutOfRange(received: token, allowed: isObserved.indices)
    }
    isObserved[token] = true
  }

  /// Notes several tokens that the model read.
  ///
  /// - Throws: ``SamplingError/tokenOutOfRange(received:allowed:)``, with those before that token noted.
  public mutating func observe(contentsOf tokens: some Sequence<Int>) throws(SamplingError) {
    for token in tokens { try observe(token) }
  }

  /// Forgets what was observed and starts again from the seed.
  public mutating func reset() {
    random = SplitMix64(seed: sampling.seed)
    for token in isObserved.indices { isObserved[token] = false }
  }

  /// What the next choices depend on beside the options and the tokens observed: a number that `resume` takes.
  package var randomState: UInt64 { random.counter }

  /// Goes on with random choices where another sampler stopped.
  package mutating func resume(from state: UInt64) { random = SplitMix64(seed: state) }

  /// Chooses a token; throws where a logit is NaN or +∞, or all are −∞.
  ///
  /// The token is not observed by this. Takes one random number, or none at temperature 0. O(n) for n tokens, and
  /// O(log n) more for each token that top k or top p keep.
  public mutating func sample(_ logits: Span<Float>) throws(SamplingError) -> Int {
    let best = try readScores(logits)
    guard sampling.temperature > 0 else { return best }
    let (candidateCount, total) = weighCandidates(best: scores[best])
    let target = random.uniform() * total
    var (sum, choice) = (0.0, best)
    // The sum runs as that of `total` did, so it ends above the target.
    for candidate in 0..<candidateCount where weights[candidate] > 0 {
      sum += weights[candidate]
      choice = token(ofCandidate: candidate)
      if sum > target { break }
    }
    return choice
  }

  /// The tokens that `sample(_:)` chooses from and their probabilities; one token at temperature 0.
  package mutating func distribution(
    _ logits: Span<Float>
  ) throws(SamplingError) -> [(token: Int, probability: Double)] {
    let best = try readScores(logits)
    guard sampling.temperature > 0 else { return [(best, 1)] }
    let (candidateCount, total) = weighCandidates(best: scores[best])
    return (0..<candidateCount).filter { weights[$0] > 0 }
      .map { (token(ofCandidate: $0), weights[$0] / total) }
  }

  /// Fills `scores` and gives the token of the largest, of equal ones the first.
  private mutating func readScores(_ logits: Span<Float>) throws(SamplingError) -> Int {
    guard logits.count == scores.count else {
      throw .wrongLogitCount(found: logits.count, wanted: scores.count)
    }
    let penalty = sampling.repetitionPenalty
    var (best, bestScore) = (-1, -Double.infinity)
    for token in 0..<scores.count {
      var score = Double(logits[token])
      if isObserved[token] { score = score > 0 ? score / penalty : score * penalty }
      scores[token] = score
      if score > bestScore {
        (best, bestScore) = (token, score)
      } else if score.isNaN {
        throw .notANumber(token: token)
      }
    }
    guard best >= 0 else { throw .noCandidate(vocabularyCount: scores.count) }
    guard bestScore < .infinity else { throw .infinite(token: best) }
    return best
  }

  private var ranksCandidates: Bool {
    sampling.topP < 1 || (1..<scores.count).contains(sampling.topK)
  }

  private func token(ofCandidate candidate: Int) -> Int {
    ranksCandidates ? ranking[candidate] : candidate
  }

  /// Filters, fills `weights` of what stays, and sums them.
  private mutating func weighCandidates(best: Double) -> (count: Int, total: Double) {
    let count = ranksCandidates ? rankCandidates(best: best) : scores.count
    let (minP, temperature) = (sampling.minP, sampling.temperature)
    var total = 0.0
    for candidate in 0..<count {
      let score = scores[token(ofCandidate: candidate)] - best
      let stays = minP == 0 || exp(score) >= minP
      weights[candidate] = stays ? exp(score / temperature) : 0
      total += weights[candidate]
    }
    return (count, total)
  }

  /// Applies top k, then top p to what it leaves; the number of tokens that stay, at least one.
  private mutating func rankCandidates(best: Double) -> Int {
    ranking.reset(by: scores)
    let limit = sampling.topK > 0 ? min(sampling.topK, scores.count) : scores.count
    var mass = 0.0
    if limit < scores.count {
      for _ in 0..<limit { mass += exp(scores[ranking.rankNext(by: scores)] - best) }
    } else {
      for score in scores { mass += exp(score - best) }
    }
    guard sampling.topP < 1 else { return limit }
    var sum = 0.0
    for rank in 0..<limit {
      let token = rank < ranking.rankedCount ? ranking[rank] : ranking.rankNext(by: scores)
      sum += exp(scores[token] - best)
      if sum >= sampling.topP * mass { return rank + 1 }
    }
    return limit
  }
}
