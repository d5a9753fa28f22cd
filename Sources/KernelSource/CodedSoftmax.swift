import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Tiles.swift.

/// Rows whose softmax meets an entry with values in codes.
struct CodedSoftmax: RowsTogether {
  /// Of each row 64 scores, and what it sees.
  var scores: Floats
  var seen: UnsafeMutablePointer<SlotRange>
  var maxima: Floats
  /// Sixteen partial sums of ℓ each.
  var lanes: Floats
  var outputs: Floats
  var outputStride: Int
  var code: PageCode
  var target: UnsafeMutableRawPointer
  var scales: Floats
  var shifts: Floats
  var laterShifts: Floats
  /// What is asked for meanwhile, `askShare` bytes with each row until `askEnd`.
  var asked: Raw
  var askEnd: Raw
  var askShare: Int
  var asksTwice: Bool

  @inline(__always)
  mutating func skip(_ rows: Int) {
    scores += 64 * rows
    seen += rows
    maxima += rows
    lanes += 16 * rows
    outputs += outputStride * rows
    target += 4 * factorBytes(code) * rows
    scales += rows
    shifts += rows
    laterShifts += rows
    asked += askShare * rows
  }

  @inline(__always) func advanceOne() { softmaxOne(self) }
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  @inline(__always) func advanceTwo() { softmaxTwo(self) }
  @inline(__always) func advanceThree() { softmaxThree(self) }
  @inline(__always) func advanceFour() { softmaxFour(self) }
  #endif
}

@inline(never) func softmaxOne(_ s: CodedSoftmax) {
  advance(InlineArray<1, UInt8>(repeating: 0), s)
}
#if KERNELS_AVX512 || KERNELS_AVX512BF16
@inline(never) func softmaxTwo(_ s: CodedSoftmax) {
  advance(InlineArray<2, UInt8>(repeating: 0), s)
}
@inline(never) func softmaxThree(_ s: CodedSoftmax) {
  advance(InlineArray<3, UInt8>(repeating: 0), s)
}
@inline(never) func softmaxFour(_ s: CodedSoftmax) {
  advance(InlineArray<4, UInt8>(repeating: 0), s)
}
#endif

/// `advance` for values in codes: probabilities become integers, `largestFactor` for the largest score of the page.
///
/// Relative to the page, so that those of a page with low scores are as fine as any. ℓ sums the integers, so that the
/// weights of a row add up to one. `scales` get what one of them stands for, `shifts` their sum, which weighs the zeros; `laterShifts`
/// that of slots from 32 on where they have zeros of their own, and `shifts` that of the others.
///
/// What is one number for each row is found for all rows at once: row by row, the sixteen lanes would come together five times, each
/// time one step after the other.
@inline(__always)
func advance<let rows: Int>(_ shape: InlineArray<rows, UInt8>, _ s: CodedSoftmax) {
  var highest = InlineArray<rows, Vector>(repeating: Vector())
  var sum = Vector()
  var row = 0
  while row < rows {
    let scores = s.scores + 64 * row
    let (s0, s1, s2, s3) = seenScores(scores, s.seen[row])
    if s.seen[row].low > 0 || s.seen[row].high < 64 {
      attention_store(scores, s0)
      attention_store(scores + 16, s1)
      attention_store(scores + 32, s2)
      attention_store(scores + 48, s3)
    }
    highest[unchecked: row] = attention_maximum(
      attention_maximum(s0, s1), attention_maximum(s2, s3))
    // A maximum of vectors may lose a NaN, a sum does not.
    sum = attention_add(sum, attention_add(attention_add(s0, s1), attention_add(s2, s3)))
    row += 1
  }
  var best = largestOfRows(highest)
  var maxima = numbers(shape, s.maxima)
  if attention_all_within(attention_subtract(best, maxima), -.infinity, maximumSlack) == 0
    || attention_any_unordered(sum) != 0
  {
    settle(s, rows)
    best = numbers(shape, s.scales)
    maxima = numbers(shape, s.maxima)
  }
  // A row that sees nothing weighs nothing.
  let lowest = -Float.greatestFiniteMagnitude
  let from = attention_maximum(best, attention_splat(lowest))
  let weights = attention_exp2(attention_subtract(from, maxima))
  let units = attention_where_below(
    best, lowest, Vector(), attention_multiply(weights, attention_splat(1 / largestFactor(s.code))))
  storeRows(shape, s.scales, units)
  var sums = InlineArray<rows, Integers>(repeating: Integers())
  var laterSums = InlineArray<rows, Integers>(repeating: Integers())
  let top = attention_splat(largestFactor(s.code))
  let bytes = factorBytes(s.code)
  row = 0
  while row < rows {
    let asked = s.asked + row * s.askShare
    askCodes(asked, min(s.askShare, s.askEnd - asked), asksTwice: s.asksTwice)
    let scores = s.scores + 64 * row
    let rowBest = attention_splat_of_four(from, Int32(truncatingIfNeeded: row))
    let p0 = factors(scores, rowBest, top)
    let p1 = factors(scores + 16, rowBest, top)
    let p2 = factors(scores + 32, rowBest, top)
    let p3 = factors(scores + 48, rowBest, top)
    let target = s.target + 4 * bytes * row
    storeFactors(target, p0, s.code)
    storeFactors(target + bytes, p1, s.code)
    storeFactors(target + 2 * bytes, p2, s.code)
    storeFactors(target + 3 * bytes, p3, s.code)
    let first = attention_add_integers(p0, p1)
    let second = attention_add_integers(p2, p3)
    let total = attention_add_integers(first, second)
    sums[unchecked: row] = slotsPerScale(s.code) < 64 ? first : total
    laterSums[unchecked: row] = second
    // Not fused: a sum that begins at zero and joins those before has the same bits (`attendNoting`).
    let lanes = s.lanes + 16 * row
    attention_store(
      lanes,
      attention_add(
        attention_load(lanes),
        attention_multiply(
          attention_from_integers(total),
          attention_splat_of_four(units, Int32(truncatingIfNeeded: row)))))
    row += 1
  }
  storeRows(
    shape, s.shifts,
    attention_multiply(
      units, attention_from_integers(sumsOfRows(sums))))
  if slotsPerScale(s.code) < 64 {
    storeRows(
      shape, s.laterShifts,
      attention_multiply(
        units, attention_from_integers(sumsOfRows(laterSums))))
  }
}

/// 16 scores as probabilities of the best one, in integers.
@inline(__always)
func factors(_ scores: Floats, _ best: Vector, _ top: Vector) -> Integers {
  attention_round_product(attention_exp2(attention_subtract(attention_load(scores), best)), top)
}

/// Rows one by one where something is out of the ordinary: a maximum follows, a row sees nothing, a score is no number.
///
/// Their largest scores are left in `scales`. Whether a maximum follows is decided as it is for rows together, in the same rounding.
@inline(never)
func settle(_ s: CodedSoftmax, _ rows: Int) {
  var row = 0
  while row < rows {
    let scores = s.scores + 64 * row
    let lanes = s.lanes + 16 * row
    let (s0, s1, s2, s3) = allScores(scores)
    var best = attention_largest(
      attention_maximum(attention_maximum(s0, s1), attention_maximum(s2, s3)))
    // A score that is +∞ makes the row NaN, as a NaN does.
    if best == .infinity
      || attention_any_unordered(attention_add(attention_add(s0, s1), attention_add(s2, s3))) != 0
    {
      attention_store(lanes, attention_splat(.nan))
      best = -.infinity
      var slot = 0
      while slot < 64 {
        attention_store(scores + slot, attention_splat(best))
        slot += 16
      }
    } else if best - s.maxima[row] > maximumSlack {
      if s.maxima[row] == -.infinity {
        // Nothing has been summed that could shrink.
        s.maxima[row] = best
      } else {
        attention_store(
          lanes,
          rescale(
            attention_load(lanes), best, s.maxima + row, s.outputs + row * s.outputStride,
            s.outputStride))
      }
    }
    s.scales[row] = best
    row += 1
  }
}
