import CKernelShim
import KernelTable

/// Slots of an entry that a row sees, `low..<high`; empty as 64..<0.
struct SlotRange {
  var low: Int
  var high: Int
}

/// How far scores may lie above m, in units of log2, before it follows.
///
/// After its first page a leaf hardly ever rescales what it has summed. p stays below 2^8 and as exact as ever; sums of values
/// beyond 2^120 might overflow.
@inline(__always) var maximumSlack: Float { 8 }

/// Advances one row's softmax by the 64 scores at `scores`, which become probabilities.
///
/// Returns without touching the state where the row sees nothing. Otherwise ℓ += Σ p, after m ← max and rescaling of ℓ and o
/// where a score is far above m (`maximumSlack`); unseen slots get p = 0 by selection, so nothing that stands there enters.
/// Milakov & Gimelshein 2018, arXiv:1805.02867, algorithm 3, in units of log2.
@inline(__always)
func advance(
  _ scores: Floats, _ slots: SlotRange, _ maximum: Floats, _ lanes: Floats, _ output: Floats,
  _ outputStride: Int, _ rounded: UnsafeMutablePointer<UInt16>?
) {
  let seen = seenScores(scores, slots)
  follow(seen, maximum, lanes, output, outputStride)
  // A maximum of vectors may lose a NaN, a sum does not.
  if maximum.pointee == -.infinity && attention_any_unordered(sumOfFour(seen)) == 0 {
    // Nothing visible so far, or scores of −∞ only: the row weighs nothing.
    attention_store(scores, Vector())
    attention_store(scores + 16, Vector())
    attention_store(scores + 32, Vector())
    attention_store(scores + 48, Vector())
    if let rounded {
      attention_store(UnsafeMutableRawPointer(rounded), Vector())
      attention_store(UnsafeMutableRawPointer(rounded) + 64, Vector())
    }
    return
  }
  weigh(scores, seen, maximum.pointee, lanes, rounded)
}

/// A row's 64 scores.
typealias Scores = (Vector, Vector, Vector, Vector)

@inline(__always)
func allScores(_ scores: Floats) -> Scores {
  (
    attention_load(scores), attention_load(scores + 16), attention_load(scores + 32),
    attention_load(scores + 48)
  )
}

/// The largest of sixteen fours.
@inline(__always)
func highestScores(_ s: Scores) -> Vector {
  attention_maximum(attention_maximum(s.0, s.1), attention_maximum(s.2, s.3))
}

@inline(__always)
func sumOfFour(_ s: Scores) -> Vector {
  attention_add(attention_add(s.0, s.1), attention_add(s.2, s.3))
}

/// Lets m follow a row's scores, with what has been summed.
@inline(__always)
func follow(
  _ seen: Scores, _ maximum: Floats, _ lanes: Floats, _ output: Floats, _ outputStride: Int
) {
  let highest = highestScores(seen)
  if attention_any_above(highest, maximum.pointee + maximumSlack) == 0 { return }
  let best = attention_largest(highest)
  if maximum.pointee == -.infinity {
    // Nothing has been summed that could shrink.
    maximum.pointee = best
  } else {
    attention_store(
      lanes, rescale(attention_load(lanes), best, maximum, output, outputStride))
  }
}

/// Turns a row's scores, which its m has followed, into probabilities, and adds them to ℓ.
@inline(__always)
func weigh(
  _ scores: Floats, _ seen: Scores, _ m: Float, _ lanes: Floats,
  _ rounded: UnsafeMutablePointer<UInt16>?
) {
  let top = attention_splat(m)
  #if KERNELS_AVX512BF16
  if let rounded {
    let early = attention_pack_bfloats(
      attention_exp2_for_bfloat(attention_subtract(seen.0, top)),
      attention_exp2_for_bfloat(attention_subtract(seen.1, top)))
    let late = attention_pack_bfloats(
      attention_exp2_for_bfloat(attention_subtract(seen.2, top)),
      attention_exp2_for_bfloat(attention_subtract(seen.3, top)))
    attention_store_pairs(rounded, early)
    attention_store_pairs(rounded + 32, late)
    // ℓ sums what multiplies V, so that the weights of a row add up to one.
    attention_store(lanes, attention_add(attention_load(lanes), attention_sum_pairs(early, late)))
    return
  }
  #endif
  let p = (
    attention_exp2(attention_subtract(seen.0, top)),
    attention_exp2(attention_subtract(seen.1, top)),
    attention_exp2(attention_subtract(seen.2, top)),
    attention_exp2(attention_subtract(seen.3, top))
  )
  attention_store(scores, p.0)
  attention_store(scores + 16, p.1)
  attention_store(scores + 32, p.2)
  attention_store(scores + 48, p.3)
  attention_store(lanes, attention_add(attention_load(lanes), sumOfFour(p)))
}

/// A row's 64 scores, those of slots that it does not see replaced by −∞.
@inline(__always)
func seenScores(_ scores: Floats, _ slots: SlotRange) -> Scores {
  var s = allScores(scores)
  if slots.low > 0 || slots.high < 64 {
    let low = Int32(truncatingIfNeeded: slots.low)
    let high = Int32(truncatingIfNeeded: slots.high)
    s.0 = attention_keep(s.0, low, high, -.infinity)
    s.1 = attention_keep(s.1, low &- 16, high &- 16, -.infinity)
    s.2 = attention_keep(s.2, low &- 32, high &- 32, -.infinity)
    s.3 = attention_keep(s.3, low &- 48, high &- 48, -.infinity)
  }
  return s
}

/// Raises the maximum to `best`; output and the partial sums of ℓ, which are returned, shrink with it.
@inline(__always)
func rescale(
  _ lanes: Vector, _ best: Float, _ maximum: Floats, _ output: Floats, _ outputStride: Int
) -> Vector {
  let factor = attention_exp2(attention_splat(maximum.pointee - best))
  maximum.pointee = best
  var channel = 0
  while channel < outputStride {
    attention_store(
      output + channel, attention_multiply(attention_load(output + channel), factor))
    channel += 16
  }
  return attention_multiply(lanes, factor)
}

/// c·tanh(s / c) on 64 natural scores, which then turn into units of log2.
///
/// tanh x = sign x · (1 − e) / (1 + e), e = 2^(−2|x| log2 e).
@inline(__always)
func cap(_ scores: Floats, _ softcap: Float) {
  let inverse = attention_splat(1 / softcap)
  let exponent = attention_splat(-2 * log2e)
  let one = attention_splat(1)
  let result = attention_splat(softcap * log2e)
  var slot = 0
  while slot < 64 {
    let x = attention_multiply(attention_load(scores + slot), inverse)
    let e = attention_exp2(attention_multiply(attention_magnitude(x), exponent))
    let t = attention_divide(attention_subtract(one, e), attention_add(one, e))
    // NaN stays NaN: the sign is laid over a NaN magnitude.
    attention_store(scores + slot, attention_multiply(attention_with_sign(t, x), result))
    slot += 16
  }
}

/// What comes between q·k and the softmax in some rows of a block from `start` on: softcap, ALiBi, additive bias, where there is any.
@inline(__always)
func finishAllScores(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: UnsafePointer<LeafEntry>,
  _ firstRow: Int, _ start: Int, _ rows: Int
) {
  guard task.pointee.softcap > 0 || task.pointee.slopes != nil || task.pointee.bias != nil else {
    return
  }
  finishScores(task, scratch, entry, firstRow, start, rows)
}

/// `finishAllScores` token by token; apart, so that what calls it stays small.
@inline(never)
func finishScores(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: UnsafePointer<LeafEntry>,
  _ firstRow: Int, _ start: Int, _ rows: Int
) {
  let group = task.pointee.group
  // One division for all rows.
  var token = (firstRow + start) / group
  var head = firstRow + start - token * group
  var row = start
  let end = start + rows
  while row < end {
    let next = min(end, row + group - head)
    finishScores(task, scratch, entry, token, head, from: row, to: next)
    row = next
    token += 1
    head = 0
  }
}

/// In one token's rows, the first of which is of query head `head`.
@inline(__always)
func finishScores(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: UnsafePointer<LeafEntry>,
  _ token: Int, _ head: Int, from start: Int, to end: Int
) {
  if task.pointee.softcap > 0 {
    var row = start
    while row < end {
      cap(scratch.scores + 64 * row, task.pointee.softcap)
      row += 1
    }
  }
  if let slopes = task.pointee.slopes {
    addLinearBias(
      scratch.scores + 64 * start, slopes + head, end - start,
      Float(task.pointee.positions[token] - entry.pointee.basePosition), scratch.nearest[token])
  }
  if let bias = task.pointee.bias {
    var row = start
    while row < end {
      addBias(
        scratch.scores + 64 * row,
        bias + token * task.pointee.biasTokenStride
          + (head + row - start) * task.pointee.biasHeadStride + entry.pointee.firstKey,
        scratch.seen[row])
      row += 1
    }
  }
}

/// Adds slope·(nearest − |distance of the query from slot 0 − slot|) to 64 scores of each row of one token, all in units of log2; slopes
/// are in natural units.
@inline(__always)
func addLinearBias(
  _ scores: Floats, _ slopes: UnsafePointer<Float>, _ rows: Int, _ distance: Float, _ nearest: Float
) {
  let gaps = (
    nearness(distance, nearest, 0), nearness(distance, nearest, 16),
    nearness(distance, nearest, 32), nearness(distance, nearest, 48)
  )
  var row = 0
  while row < rows {
    let slope = attention_splat(slopes[row] * log2e)
    let at = scores + 64 * row
    attention_store(at, attention_fma(slope, gaps.0, attention_load(at)))
    attention_store(at + 16, attention_fma(slope, gaps.1, attention_load(at + 16)))
    attention_store(at + 32, attention_fma(slope, gaps.2, attention_load(at + 32)))
    attention_store(at + 48, attention_fma(slope, gaps.3, attention_load(at + 48)))
    row += 1
  }
}

/// nearest − |distance − slot| of sixteen slots from `slot` on.
@inline(__always)
func nearness(_ distance: Float, _ nearest: Float, _ slot: Int) -> Vector {
  let gap = attention_magnitude(
    attention_subtract(attention_splat(distance), attention_ramp(Float(slot))))
  return attention_subtract(attention_splat(nearest), gap)
}

/// Adds a bias in natural units to the scores of the slots that are seen.
@inline(never)
func addBias(_ scores: Floats, _ bias: UnsafePointer<Float>, _ seen: SlotRange) {
  var slot = seen.low
  while slot < seen.high {
    scores[slot] += bias[slot] * log2e
    slot += 1
  }
}

@inline(__always) var log2e: Float { 1.44269504088896340736 }
