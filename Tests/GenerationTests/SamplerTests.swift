import Foundation
import Generation
import TestSupport
import Testing

@Suite("Sampler")
struct SamplerTests {
  private func sample(_ logits: [Float], _ sampler: inout Sampler) throws -> Int {
    try sampler.sample(logits.span)
  }

  private func distribution(
    _ logits: [Float], _ sampling: Sampling, observed: [Int] = []
  ) throws -> [Int: Double] {
    var sampler = Sampler(sampling, vocabularyCount: logits.count)
    try sampler.observe(contentsOf: observed)
    let pairs = try sampler.distribution(logits.span)
    return Dictionary(uniqueKeysWithValues: pairs.map { ($0.token, $0.probability) })
  }

  /// The definitions over a fully sorted list: the slow twin.
  private func distributionSlowly(
    _ logits: [Float], _ sampling: Sampling, observed: Set<Int>
  ) -> [Int: Double] {
    var kept = logits.indices.map { token in
      let logit = Double(logits[token])
      let penalty = observed.contains(token) ? sampling.repetitionPenalty : 1
      return (token: token, score: logit > 0 ? logit / penalty : logit * penalty)
    }
    kept.sort { $0.score != $1.score ? $0.score > $1.score : $0.token < $1.token }
    if sampling.topK > 0 { kept = Array(kept.prefix(sampling.topK)) }
    let best = kept[0].score
    let mass = kept.reduce(0) { $0 + exp($1.score - best) }
    var (count, sum) = (0, 0.0)
    while count < kept.count, count == 0 || sum < sampling.topP * mass {
      sum += exp(kept[count].score - best)
      count += 1
    }
    kept = kept.prefix(count).filter { exp($0.score - best) >= sampling.minP }
    let weights = kept.map { exp(($0.score - best) / sampling.temperature) }
    let total = weights.reduce(0, +)
    return Dictionary(uniqueKeysWithValues: zip(kept.map(\.token), weights.map { $0 / total }))
  }

  @Test("all mixtures of options keep what the definitions keep", arguments: 0..<300)
  func equalsDefinition(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let count = generator.integer(in: 1..<200)
    let logits = generator.normalFloats(count, deviation: 3)
    let observed = (0..<count).filter { _ in generator.uniform() < 0.3 }
    let sampling = try Sampling(
      temperature: [0.1, 0.7, 1, 2].randomElement(using: &generator) ?? 1,
      topK: [0, 1, 5, 40, 199, 1000].randomElement(using: &generator) ?? 0,
      topP: [0.01, 0.5, 0.95, 1].randomElement(using: &generator) ?? 1,
      minP: [0, 0.05, 0.5, 1].randomElement(using: &generator) ?? 0,
      repetitionPenalty: [0.8, 1, 1.3].randomElement(using: &generator) ?? 1)
    let found = try distribution(logits, sampling, observed: observed)
    let wanted = distributionSlowly(logits, sampling, observed: Set(observed))
    #expect(Set(found.keys) == Set(wanted.keys), "\(sampling)")
    for (token, probability) in wanted {
      // Both sum at most 200 positive weights, in two orders: 200 roundings each, and a division each.
      #expect((found[token] ?? .nan).isClose(to: probability, ulps: 404))
    }
  }

  @Test("temperature 0 takes the largest logit, of equal ones the lowest id")
  func greedy() throws {
    var sampler = Sampler(.greedy, vocabularyCount: 5)
    #expect(try sample([1, 3, -2, 3, 2], &sampler) == 1)
    #expect(try sample([-1, -.infinity, -0.5, -3, -0.5], &sampler) == 2)
    #expect(try sample([0, -0.0, 0, 0, 0], &sampler) == 0)
  }

  @Test(
    "a token outside of the vocabulary is refused where it is observed", arguments: [-1, 5, .max])
  func observedOutOfRange(token: Int) throws {
    var sampler = Sampler(.greedy, vocabularyCount: 5)
    let error = SamplingError.tokenOutOfRange(received: token, allowed: 0..<5)
    #expect(throws: error) { try sampler.observe(token) }
    #expect(throws: error) { try sampler.observe(contentsOf: [4, token]) }
    #expect(
      "\(error)"
        == "token id \(token) is not among the 5 tokens of the sampler, which count from 0")
    #expect(try sample([1, 3, -2, 3, 2], &sampler) == 1)
  }

  @Test("a vocabulary of no tokens has no choice, and one of fewer traps")
  func emptyVocabulary() async throws {
    var sampler = Sampler(.greedy, vocabularyCount: 0)
    #expect(throws: SamplingError.noCandidate(vocabularyCount: 0)) {
      try sample([], &sampler)
    }
    await #expect(processExitsWith: .failure) { _ = Sampler(.greedy, vocabularyCount: -1) }
  }

  @Test("the repetition penalty divides positive logits and multiplies negative ones")
  func repetitionPenalty() throws {
    let sampling = try Sampling(temperature: 0, repetitionPenalty: 2)
    var sampler = Sampler(sampling, vocabularyCount: 3)
    #expect(try sample([4, 3, -1], &sampler) == 0)
    try sampler.observe(0)
    try sampler.observe(0)  // Seen twice counts once: 4 becomes 2, not 1.
    #expect(try sample([4, 1.5, -1], &sampler) == 0)
    #expect(try sample([4, 3, -1], &sampler) == 1)
    #expect(try sample([-1, -1.5, -3], &sampler) == 1)
    sampler.reset()
    #expect(try sample([4, 3, -1], &sampler) == 0)
  }

  @Test("each filter alone keeps what it says")
  func filters() throws {
    // Probabilities 0.5, 0.25, 0.125, 0.125: logits are their logarithms.
    let logits: [Float] = [0.125, 0.5, 0.125, 0.25].map { log($0) }
    #expect(try Set(distribution(logits, Sampling(topK: 3)).keys) == [1, 3, 0])
    #expect(try Set(distribution(logits, Sampling(topP: 0.7)).keys) == [1, 3])
    #expect(try Set(distribution(logits, Sampling(topP: 0.8)).keys) == [1, 3, 0])
    #expect(try Set(distribution(logits, Sampling(topP: 1e-9)).keys) == [1])
    #expect(try Set(distribution(logits, Sampling(minP: 0.4)).keys) == [1, 3])
    #expect(try Set(distribution(logits, Sampling(minP: 1)).keys) == [1])
    // Top p counts what top k left: 0.5 / 0.75 < 0.7.
    #expect(try Set(distribution(logits, Sampling(topK: 2, topP: 0.7)).keys) == [1, 3])
    #expect(try Set(distribution(logits, Sampling(topK: 2, topP: 0.6)).keys) == [1])
    // The filters do not see the temperature.
    #expect(try Set(distribution(logits, Sampling(temperature: 9, topP: 0.7)).keys) == [1, 3])
  }

  @Test("temperature turns logits to e^(l/T)", arguments: [0.25, 1, 3])
  func temperature(value: Double) throws {
    let found = try distribution([0, 2], Sampling(temperature: value))
    // Two exponentials, a sum and a division: a few ulps of numbers below 1.
    #expect((found[1] ?? 0).isClose(to: 1 / (1 + exp(-2 / value)), ulps: 8))
  }

  @Test("extreme temperatures give no NaN")
  func extremeTemperatures() throws {
    let logits: [Float] = [-.infinity, 1, .greatestFiniteMagnitude, -.greatestFiniteMagnitude]
    #expect(
      try distribution(logits, Sampling(temperature: .leastNonzeroMagnitude)) == [2: 1])
    let flat = try distribution(
      [-.infinity, 1, 2], Sampling(temperature: .greatestFiniteMagnitude))
    #expect(flat == [1: 0.5, 2: 0.5])
  }

  @Test(
    "tokens are drawn as often as their probabilities say",
    arguments: [(0, 1.0), (4, 1.0), (0, 0.9), (6, 0.8)])
  func frequencies(topK: Int, topP: Double) throws {
    let drawCount = 40_000
    var generator = SeededGenerator(seed: 5)
    let logits = generator.normalFloats(10, deviation: 1.5)
    let sampling = try Sampling(temperature: 0.9, topK: topK, topP: topP, seed: 77)
    let wanted = try distribution(logits, sampling)
    var sampler = Sampler(sampling, vocabularyCount: logits.count)
    var counts = [Int](repeating: 0, count: logits.count)
    for _ in 0..<drawCount { counts[try sample(logits, &sampler)] += 1 }
    for token in logits.indices {
      let probability = wanted[token] ?? 0
      // Five standard deviations of a binomial count; by chance one in a million exceeds them. A token that was
      // filtered out has probability 0 and must never come.
      let deviation = (Double(drawCount) * probability * (1 - probability)).squareRoot()
      let difference = (Double(counts[token]) - Double(drawCount) * probability).magnitude
      #expect(difference <= 5 * deviation, "token \(token): \(counts[token])")
    }
  }

  @Test("the same seed gives the same tokens, another seed others, a copy what the original gives")
  func seeds() throws {
    let logits = [Float](repeating: 0, count: 1000)
    func draw(_ sampler: inout Sampler) throws -> [Int] {
      try (0..<20).map { _ in try sample(logits, &sampler) }
    }
    var a = Sampler(try Sampling(seed: 1), vocabularyCount: 1000)
    var b = Sampler(try Sampling(seed: 1), vocabularyCount: 1000)
    var c = Sampler(try Sampling(seed: 2), vocabularyCount: 1000)
    let first = try draw(&a)
    #expect(try draw(&b) == first)
    #expect(try draw(&c) != first)
    var copy = a
    #expect(try draw(&copy) == draw(&a))
    a.reset()
    #expect(try draw(&a) == first)
  }

  @Test("the generator gives SplitMix64's published numbers")
  func splitMix64() {
    // Seed and outputs as given for the task "Pseudo-random numbers/Splitmix64" on Rosetta Code.
    var generator = SplitMix64(seed: 1_234_567)
    let wanted: [UInt64] = [
      6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
      4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
    ]
    #expect(wanted.map { _ in generator.next() } == wanted)
  }

  @Test("broken logits are refused whatever the options", arguments: [0.0, 1])
  func brokenLogits(temperature: Double) throws {
    var sampler = Sampler(
      try Sampling(temperature: temperature, topK: 2, repetitionPenalty: 1.1), vocabularyCount: 3)
    let nan = Float.nan
    for (logits, error) in [
      ([1, nan, 2], SamplingError.notANumber(token: 1)), ([nan, 1, 2], .notANumber(token: 0)),
      ([1, 2, nan], .notANumber(token: 2)), ([1, .infinity, 2], .infinite(token: 1)),
      ([-.infinity, -.infinity, -.infinity], .noCandidate(vocabularyCount: 3)),
      ([1, 2], .wrongLogitCount(found: 2, wanted: 3)), ([], .wrongLogitCount(found: 0, wanted: 3)),
    ] as [([Float], SamplingError)] {
      #expect(throws: error) { try self.sample(logits, &sampler) }
      #expect(!error.description.contains("\n"))
    }
    #expect(try sample([-.infinity, -.infinity, 0], &sampler) == 2)
  }

  @Test("no token takes anything from the heap", .enabled(if: AllocationCount.isAvailable))
  func allocations() throws {
    var generator = SeededGenerator(seed: 3)
    let logits = generator.normalFloats(2000, deviation: 2)
    for sampling in [
      Sampling.greedy, try Sampling(minP: 0.1),
      try Sampling(temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05, repetitionPenalty: 1.1),
    ] {
      var sampler = Sampler(sampling, vocabularyCount: logits.count)
      func run() throws {
        for _ in 0..<10 { try sampler.observe(try sampler.sample(logits.span)) }
      }
      // The first pass sets up what the runtime knows of generic types.
      try run()
      #expect(try AllocationCount.during { try run() } == 0)
    }
  }
}
