#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What rows of an output differ from their answers by, seen along the change that each stretch of keys would make by its absence.
///
/// Roundings point anywhere, a stretch that was left out, or read twice, in one direction that is known. So it shows where its length is a
/// hundredth of that of the answer, and all of the error two of them.
struct MissingKeys: Sendable {
  /// Stretches that an answer is divided into at most: pages of 64 keys up to 262,144 of them, whole numbers of pages beyond.
  static let mostStretches = 4_096

  /// Differences seen along a change: Σ difference·change, and Σ change².
  private struct Along {
    var product = 0.0
    var square = 0.0

    /// How much of the change the differences are.
    var share: Double { square > 0 ? (product / square).magnitude : 0 }
  }

  private var stretches: [Along] = []
  /// Along the answers themselves.
  private var answers = Along()
  /// Numbers that were compared.
  private(set) var count = 0
  /// Over how many stretches a row's weight is spread, of the row where it is the fewest: 1 ÷ Σ w².
  private(set) var spread = Double.infinity

  /// Adds a pair of a row and a query head, which begins at `first` in the output.
  mutating func add(_ output: Span<Float>, at first: Int, answer: DoubleAttention.Answer) {
    if stretches.isEmpty {
      stretches = Array(repeating: Along(), count: answer.stretches.count)
    }
    let (expected, whole) = (answer.output, answer.whole)
    let differences = expected.indices.map { Double(output[first + $0]) - expected[$0] }
    for (difference, number) in zip(differences, expected) {
      answers.product += difference * number
      answers.square += number * number
    }
    count += expected.count
    var squares = 0.0
    for (index, stretch) in answer.stretches.enumerated() where stretch.denominator > 0 {
      let weight = stretch.denominator * exp(stretch.maximum - whole.maximum) / whole.denominator
      squares += weight * weight
      // Without the only keys that weigh there is no answer.
      guard weight < 0.999 else { continue }
      let factor = weight / (1 - weight)
      for (channel, number) in expected.enumerated() {
        let change = factor * (number - stretch.output[channel] / stretch.denominator)
        stretches[index].product += differences[channel] * change
        stretches[index].square += change * change
      }
    }
    if squares > 0 { spread = min(spread, 1 / squares) }
  }

  /// How much of a stretch is missing, or there twice, 1 being all of it: the most among those whose absence changes the rows by more
  /// than `length`.
  func largestShare(above length: Double) -> Double {
    stretches.reduce(0) { $1.square > length * length ? max($0, $1.share) : $0 }
  }

  /// By how much all numbers are too large or too small, of themselves.
  var scaleError: Double { answers.share }
}
