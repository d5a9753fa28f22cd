/// A sum that keeps what each addition loses.
///
/// Neumaier 1974, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", algorithm IV: the
/// result is off by two units in the last place, whatever the number of terms (while it times 2⁻⁵³ is small).
package struct CompensatedSum: Sendable {
  private var sum = 0.0
  private var lost = 0.0

  package init() {}

  package var value: Double { sum + lost }

  package static func += (left: inout CompensatedSum, term: Double) {
    let total = left.sum + term
    left.lost +=
      left.sum.magnitude >= term.magnitude
      ? (left.sum - total) + term : (term - total) + left.sum
    left.sum = total
  }
}
