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

  /// A relative L2 error against Double over the values as stored.
  ///
  /// Scores have deviation 1 here, so a relative error of them or of the probabilities is one of the output. In f32 a leaf's sums of
  /// 2,048 slots are off by about √2,048 · 2⁻²⁴: four times that. Where bf16 is multiplied by dot products, what meets it is rounded to bf16 too: queries for
  /// keys, probabilities for values, off by 2⁻⁹ at most: four times 2⁻⁹ for each half that is bf16, whatever the other one is.
  ///
  /// Queries and probabilities that meet codes are integers of at most `top`, off by 0.29 where the largest is `top`. With normal
  /// data a channel is a third of the largest, and its codes are 3.2 times their deviation from 0: 2.8 ÷ top for the scores. A
  /// probability is a third of its page's largest: 1 ÷ top. Together 3 ÷ top, and four times that; `top` is 127 for int4 with dot
  /// products of bytes, 32,639 otherwise.
  ///
  /// Errors of scores grow with the keys, which planted ones make longer. What a horizon skipped moves a row by 2·r times
  /// the length of the largest value at most.
  ///
  /// - Parameters:
  ///   - error: What was found.
  ///   - types: How keys and values are stored.
  ///   - reader: The engine that attended.
  ///   - keyLength: How much longer than ordinary keys those are that make the answer.
  ///   - skippedMass: The bound on what was skipped, r.
  ///   - valueWidth: Channels of a value.
  /// - Returns: The error beside what is allowed.
  static func dense(
    _ error: RelativeError, types: StoredTypes, reader: AttentionEngine, keyLength: Double = 1,
    skippedMass: Double = 0, valueWidth: Int = 0
  ) -> SelfCheck {
    var tolerance = 4 * 2_048.0.squareRoot() * 0x1p-24
    if reader.dotsPairs {
      let rounded = [types.key, types.value].count { $0 == .bfloat16 }
      tolerance += Double(rounded) * 4 * 0x1p-9
    }
    if types.isQuantized {
      let hasInt4 = types.key == .int4 || types.value == .int4
      tolerance += 12 / (hasInt4 && reader.instructionSet == .avx512bf16 ? 127.0 : 32_639)
    }
    tolerance *= keyLength
    if skippedMass > 0 {
      tolerance +=
        2 * skippedMass * SyntheticValues.largest * Double(valueWidth).squareRoot()
        / error.rowLength
    }
    return SelfCheck(
      maximumError: error.maximum, tolerance: tolerance, ratio: error.l2 / tolerance,
      rows: error.rowCount)
  }
}
