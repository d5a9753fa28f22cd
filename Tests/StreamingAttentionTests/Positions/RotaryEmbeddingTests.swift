import Foundation
import StreamingAttention
import TestSupport
import Testing

@Suite("Rotary embedding")
struct RotaryEmbeddingTests {
  @Test(
    "frequencies and attention factors are those of Transformers", arguments: try RopeFixture.load()
  )
  func frequencies(of example: RopeFixture.Case) throws {
    let embedding = try example.embedding()
    for reference in example.frequencies {
      let resolved = reference.length.map(embedding.resolved(forLength:)) ?? embedding
      try #require(resolved.frequencies.count == reference.f64.count)
      for (frequency, expected) in zip(resolved.frequencies, reference.f64) {
        // One power and at most six roundings on either side, 1.1e-16 each; the power's exponent adds its own
        // rounding times ln base · exponent ≤ 13.8 (base 1e6).
        #expect(abs(frequency - expected) <= 4e-15 * expected)
      }
      #expect(abs(resolved.attentionFactor - reference.attentionFactor) <= 1e-15)
    }
  }

  @Test("rotated vectors are those of Transformers in double", arguments: try RopeFixture.load())
  func rotated(of example: RopeFixture.Case) throws {
    let embedding = try example.embedding()
    let resolved = example.rotatedLength.map(embedding.resolved(forLength:)) ?? embedding
    for reference in example.rotated {
      for (vector, expected) in [(example.q, reference.q), (example.k, reference.k)] {
        let turned = resolved.turned(
          vector, by: reference.position, times: resolved.attentionFactor)
        // The bar, for vectors of unit scale. f32 turns are off by 2⁻²⁵ each (6e-8 for a pair of unit channels), the
        // phase by 4e-15 · 262,143 = 1e-9 through the frequency, the file by 5e-10.
        let scale = max(1, vector.map(abs).max() ?? 1)
        #expect(Distance(of: turned, to: expected).maximum <= 1e-6 * scale)
      }
    }
  }

  @Test("scores depend on the distance alone", arguments: [RotaryPairing.halves, .interleaved])
  func relativeLaw(pairing: RotaryPairing) throws {
    let embedding = try RotaryEmbedding(headDimension: 64, base: 500_000, pairing: pairing)
    var generator = SeededGenerator(seed: 1)
    let query = generator.normalFloats(64).map(Double.init)
    let key = generator.normalFloats(64).map(Double.init)
    func score(_ m: Int, _ n: Int) -> Double {
      zip(embedding.turned(query, by: m), embedding.turned(key, by: n)).map(*).reduce(0, +)
    }
    let norms = [query, key].map { $0.map { $0 * $0 }.reduce(0, +).squareRoot() }
    for (m, n) in [(5, 3), (700, 12), (90_000, 89_999)] {
      // Four f32 roundings of 2⁻²⁵ per pair and score, Cauchy-Schwarz over the pairs.
      let bound = 8 * 0x1p-25 * norms[0] * norms[1]
      #expect(abs(score(m, n) - score(m + 172_143, n + 172_143)) <= bound)
      #expect(abs(score(m, n) - score(m - n, 0)) <= bound)
    }
  }

  @Test(
    "turning by a, then by b, is turning by a + b",
    arguments: [(3, 4), (262_143, -262_142), (-7, 131_072)])
  func composition(a: Int, b: Int) throws {
    let embedding = try RotaryEmbedding(
      headDimension: 128, base: 1e6, pairing: .halves,
      scaling: .yarn(YaRN(factor: 2, originalContext: 131_072)))
    var generator = SeededGenerator(seed: 2)
    let vector = generator.normalFloats(128).map(Double.init)
    let twice = embedding.turned(embedding.turned(vector, by: a), by: b)
    // Two f32 roundings of a pair's cosine and sine each time; |channel| < 5 for 128 normal numbers.
    #expect(
      Distance(of: twice, to: embedding.turned(vector, by: a + b)).maximum <= 10 * 6 * 0x1p-25)
  }

  @Test("interleaved pairing is the halves pairing of permuted channels")
  func permutation() throws {
    let halves = try RotaryEmbedding(headDimension: 80, rotaryDimensions: 20, pairing: .halves)
    let interleaved = try RotaryEmbedding(
      headDimension: 80, rotaryDimensions: 20, pairing: .interleaved)
    var generator = SeededGenerator(seed: 3)
    let vector = generator.normalFloats(80).map(Double.init)
    // halves[i] = interleaved[2i], halves[i + 10] = interleaved[2i + 1]; channels from 20 on stay.
    let order = (0..<80).map { $0 < 10 ? 2 * $0 : $0 < 20 ? 2 * ($0 - 10) + 1 : $0 }
    let turned = interleaved.turned(vector, by: 12_345)
    #expect(halves.turned(order.map { vector[$0] }, by: 12_345) == order.map { turned[$0] })
    #expect(Array(turned[20...]) == Array(vector[20...]))
  }

  @Test("divisors divide the frequencies before they are scaled")
  func divisors() throws {
    let list = (0..<16).map { 1 + Double($0) / 4 }
    let plain = try RotaryEmbedding(headDimension: 32, pairing: .halves)
    let divided = try RotaryEmbedding(
      headDimension: 32, pairing: .halves, scaling: .linear(factor: 4), divisors: list)
    #expect(divided.frequencies == zip(plain.frequencies, list).map { $0 / $1 / 4 })
  }

  @Test(
    "a scaling says whether and when it depends on the length, and at the border keeps the short form"
  )
  func lengthDependence() throws {
    let short = [Double](repeating: 1, count: 4)
    let long = [Double](repeating: 2, count: 4)
    let stepped = try RotaryEmbedding(
      headDimension: 8, pairing: .halves,
      scaling: .longRoPE(
        LongRoPE(shortDivisors: short, longDivisors: long, originalContext: 4096, factor: 32)))
    #expect(stepped.lengthDependence == .stepped(after: 4096))
    #expect(stepped.resolved(forLength: 4096) == stepped)
    #expect(stepped.resolved(forLength: 4097) == stepped.resolved(forLength: 100_000))
    #expect(stepped.resolved(forLength: 4097).frequencies == stepped.frequencies.map { $0 / 2 })
    #expect(stepped.resolved(forLength: 4097).resolved(forLength: 1) == stepped)
    let moving = try RotaryEmbedding(
      headDimension: 8, pairing: .halves, scaling: .dynamicNTK(factor: 2, originalContext: 4096))
    #expect(moving.lengthDependence == .moving(after: 4096))
    #expect(moving.resolved(forLength: 5000) != moving.resolved(forLength: 5001))
    let fixed = try RotaryEmbedding(headDimension: 8, pairing: .halves, scaling: .linear(factor: 8))
    #expect(fixed.lengthDependence == .fixed)
    #expect(fixed.resolved(forLength: 1 << 40) == fixed)
  }

  @Test("static NTK scaling equals a larger base, and leaves a lone pair alone")
  func ntkAware() throws {
    let scaled = try RotaryEmbedding(
      headDimension: 64, pairing: .halves, scaling: .ntkAware(factor: 4))
    let based = try RotaryEmbedding(
      headDimension: 64, base: 10_000 * pow(4, 64.0 / 62), pairing: .halves)
    #expect(scaled.frequencies == based.frequencies)
    // The slowest pair, i = 31, is interpolated exactly: b′^(−62 ÷ 64) = b^(−62 ÷ 64) ÷ 4. A few roundings of 1.1e-16.
    let plain = try RotaryEmbedding(headDimension: 64, pairing: .halves)
    #expect(abs(scaled.frequencies[31] * 4 / plain.frequencies[31] - 1) < 1e-14)
    let lone = try RotaryEmbedding(
      headDimension: 64, rotaryDimensions: 2, pairing: .halves, scaling: .ntkAware(factor: 4))
    #expect(lone.frequencies == [1])
  }

  @Test("DeepSeek's mscale for all dimensions goes to the softmax scale, squared")
  func softmaxScale() throws {
    func embedding(_ temperature: YaRN.Temperature) throws -> RotaryEmbedding {
      try RotaryEmbedding(
        headDimension: 64, pairing: .interleaved,
        scaling: .yarn(YaRN(factor: 40, originalContext: 4096, temperature: temperature)))
    }
    let deepSeek = try embedding(.mscale(0.707, allDimensions: 1))
    // (0.1·ln 40 + 1)² by hand: ln 40 = 3.688879454113936.
    #expect(abs(deepSeek.softmaxScaleFactor - 1.3688879454113936 * 1.3688879454113936) < 1e-15)
    #expect(try embedding(.recommended).softmaxScaleFactor == 1)
    #expect(try embedding(.mscale(0.707, allDimensions: 0)).softmaxScaleFactor == 1)
    #expect(
      try embedding(.mscale(0.707, allDimensions: 0)).attentionFactor
        == embedding(.recommended).attentionFactor)
  }
}
