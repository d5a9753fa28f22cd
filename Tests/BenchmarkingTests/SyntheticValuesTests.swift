import Testing

@testable import Benchmarking

@Suite struct SyntheticValuesTests {
  private static let values = SyntheticValues(seed: 7)

  private static func row(
    _ values: SyntheticValues, _ kind: SyntheticValues.Kind = .key, layer: Int = 0, head: Int = 0,
    sequence: Int = 0, token: Int = 0, count: Int = 128
  ) -> [Float] {
    var row = [Float](repeating: .nan, count: count)
    var span = row.mutableSpan
    values.fill(
      &span, of: values.stream(kind, layer: layer, head: head, sequence: sequence), token: token)
    return row
  }

  @Test("a row is the same whenever it is asked for, and a shorter one is its beginning")
  func deterministic() {
    let row = Self.row(Self.values)
    #expect(row == Self.row(SyntheticValues(seed: 7)))
    for count in [1, 7, 8, 9, 63, 64, 65, 127] {
      #expect(Self.row(Self.values, count: count) == Array(row[..<count]))
    }
  }

  @Test("whatever names a row changes all of it")
  func distinct() {
    let row = Self.row(Self.values)
    let others = [
      Self.row(SyntheticValues(seed: 8)), Self.row(Self.values, .value),
      Self.row(Self.values, layer: 1), Self.row(Self.values, head: 1),
      Self.row(Self.values, sequence: 1), Self.row(Self.values, token: 1),
    ]
    for other in others {
      // 2¹⁸ levels, the likeliest at 1e-5: 128 pairs share one with probability 1e-3; two of them 1e-6.
      #expect(zip(row, other).count { $0 == $1 } <= 1)
    }
  }

  @Test("numbers have mean 0, variance 1, fourth moment 2.7 and stay within the largest")
  func moments() {
    let numbers = (0..<4096).flatMap {
      Self.row(Self.values, token: $0, count: 64).map(Double.init)
    }
    let count = Double(numbers.count)
    func mean(_ power: Int) -> Double {
      numbers.reduce(0) { sum, x in sum + (1...power).reduce(1) { product, _ in product * x } }
        / count
    }
    // Five standard errors of 262,144 numbers: the deviations of x, x², x³ and x⁴ are 1, 1.3, 3.2 and 6.1.
    let error = 5 / count.squareRoot()
    #expect(mean(1).magnitude < error)
    #expect((mean(2) - 1).magnitude < 1.3 * error)
    #expect(mean(3).magnitude < 3.2 * error)
    #expect((mean(4) - 2.7).magnitude < 6.1 * error)
    #expect(numbers.allSatisfy { $0.magnitude <= SyntheticValues.largest })
  }

  @Test("neighbours in channels, tokens, heads and kinds are uncorrelated")
  func uncorrelated() {
    let tokens = 0..<2048
    func correlation(_ left: (Int) -> [Float], _ right: (Int) -> [Float]) -> Double {
      var sum = 0.0
      for token in tokens {
        for (x, y) in zip(left(token), right(token)) { sum += Double(x) * Double(y) }
      }
      return sum / Double(tokens.count * 63)
    }
    let plain = { Self.row(Self.values, token: $0, count: 63) }
    let others: [(Int) -> [Float]] = [
      { Array(Self.row(Self.values, token: $0, count: 64)[1...]) },
      { Self.row(Self.values, token: $0 + 1, count: 63) },
      { Self.row(Self.values, head: 1, token: $0, count: 63) },
      { Self.row(Self.values, .value, token: $0, count: 63) },
      { Self.row(Self.values, layer: 1, token: $0, count: 63) },
    ]
    // Five standard errors: products of two independent numbers have deviation 1.
    let error = 5 / Double(tokens.count * 63).squareRoot()
    for other in others { #expect(correlation(plain, other).magnitude < error) }
  }

  @Test("scores of a fixed query are as normal as a bound of eight deviations needs")
  func scores() {
    let query = Self.row(Self.values, .query, count: 64).map { $0 < 0 ? -1.0 : 1 }
    var (fourth, largest) = (0.0, 0.0)
    let count = 20_000
    for token in 0..<count {
      let key = Self.row(Self.values, token: token, count: 64)
      let score = zip(query, key).reduce(0) { $0 + $1.0 * Double($1.1) } / 8
      fourth += score * score * score * score / Double(count)
      largest = max(largest, score.magnitude)
    }
    // Kurtosis 3 − 0.3 ÷ 64; the deviation of x⁴ is √96. A maximum of 5.5 has probability 8e-4.
    #expect((fourth - 3).magnitude < 5 * (96 / Double(count)).squareRoot() + 0.3 / 64)
    #expect(largest < 5.5)
  }
}
