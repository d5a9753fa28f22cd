import KernelTable
import StreamingAttention

/// Checks of outputs over keys among which none was planted.
enum PlainCheck {
  /// An output that left keys unread beside the dense one of the same engine.
  ///
  /// With r for the skipped mass, a channel differs by at most 2·r times the largest norm of a value. Leaves that
  /// both read have the same states; their merging differs by a rounding in each of 24 levels and of the
  /// normalisation, of numbers no larger than the largest value: 32 · 2⁻²⁴ of it.
  static func horizon(
    _ output: [Float], dense: [Float], skippedMass: Double, valueWidth: Int
  ) -> SelfCheck {
    let largest = SyntheticValues.largest
    let tolerance =
      2 * skippedMass * largest * Double(valueWidth).squareRoot() + 32 * 0x1p-24 * largest
    var error = output.count == dense.count ? 0.0 : .infinity
    for (a, b) in zip(output, dense) {
      let difference = Double((a - b).magnitude)
      error = max(error, difference.isNaN ? .infinity : difference)
    }
    return SelfCheck(maximumError: error, tolerance: tolerance, ratio: error / tolerance)
  }

  /// An output beside Double over the values as stored, by three measures.
  ///
  /// **The relative L2 error.** Scores have deviation 1 here, so a relative error of them or of the probabilities is one of the output. In f32 a
  /// leaf's sums of 2,048 slots are off by about √2,048 · 2⁻²⁴: four times that. Where bf16 is multiplied by dot products, what meets it is rounded to
  /// bf16 too: queries for keys, probabilities for values, off by 2⁻⁸ at most and by 2⁻⁸ ÷ √6 in the quadratic mean, for each half that is bf16,
  /// whatever the other one is; both are as independent as their numbers.
  ///
  /// Queries and probabilities that meet codes are integers of at most `top`, off by 0.29 where the largest is `top`. With normal
  /// data a channel is a third of the largest, and its codes are 3.2 times their deviation from 0: 2.8 ÷ top for the scores. A
  /// probability is a third of its page's largest: 1 ÷ top. Together 3 ÷ top; `top` is 127 for int4 with dot
  /// products of bytes, 32,639 otherwise. Two and a half times what these roundings make is allowed: where a bias prefers few keys,
  /// these do not average.
  ///
  /// Errors of scores grow with the keys, which planted ones make longer. What a horizon skipped moves a row by 2·r times
  /// the length of the largest value at most.
  ///
  /// **Keys left out, or read twice** (``MissingKeys``). n numbers share what roundings make, so that 1/√n of it lies along any one direction.
  /// A stretch of keys whose absence would move the answer by twelve times that is found where half of it is missing; by chance that
  /// takes six deviations.
  ///
  /// **All numbers too large or too small.** Along the answer itself lies as much, and what roundings of single weights make of it, which few
  /// keys do not average: six deviations of both.
  ///
  /// - Parameters:
  ///   - error: What was found.
  ///   - missing: Along which stretches of keys it lies.
  ///   - types: How keys and values are stored.
  ///   - reader: The engine that attended.
  ///   - keyLength: How much longer than ordinary keys those are that make the answer.
  ///   - skippedMass: The bound on what was skipped, r.
  ///   - valueWidth: Channels of a value.
  /// - Returns: The error beside what is allowed.
  static func dense(
    _ error: RelativeError, _ missing: MissingKeys, types: StoredTypes, reader: AttentionEngine,
    keyLength: Double = 1, skippedMass: Double = 0, valueWidth: Int = 0
  ) -> SelfCheck {
    let summation = 4 * 2_048.0.squareRoot() * 0x1p-24 * keyLength
    var rounding = 0.0
    if reader.dotsPairs {
      let halves = [types.key, types.value].count { $0 == .bfloat16 }
      rounding += (Double(halves) / 6).squareRoot() * 0x1p-8
    }
    if types.isQuantized {
      let hasInt4 = types.key == .int4 || types.value == .int4
      rounding += 3 / (hasInt4 && reader.instructionSet == .avx512bf16 ? 127.0 : 32_639)
    }
    rounding *= keyLength
    // Of the length of a row.
    let skipped =
      skippedMass > 0
      ? 2 * skippedMass * SyntheticValues.largest * Double(valueWidth).squareRoot()
        / error.rowLength : 0
    let tolerance = summation + 2.5 * rounding + skipped
    let length = error.rowLength * Double(error.rowCount).squareRoot()
    let direction = 1 / Double(missing.count).squareRoot()
    let share = missing.largestShare(
      above: (12 * (summation + rounding) * direction + 2 * skipped) * length)
    let scale =
      summation + skipped
      + 6 * rounding * (direction * direction + 1 / missing.spread).squareRoot()
    return SelfCheck(
      maximumError: error.maximum, tolerance: tolerance,
      ratio: max(error.l2 / tolerance, 2 * share, missing.scaleError / scale),
      rows: error.rowCount)
  }
}
