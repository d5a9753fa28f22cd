import CKernelShim
import KernelTable

/// Brings every query row of a task into rotary order, scaled and turned for one run of equal anchors.
///
/// f32 for f32 and f16 keys: first members of the pairs, second members, then the channels that pass through.
/// For bf16 keys two neighbours at a time: (first, second) of each pair, then the rest in twos; as bf16 where
/// the dot product takes it, else as f32. So for keys of any type that are still to be turned (`asFloats`), in f32.
/// If `inOrder` is set, for keys in codes, as for f16.
@inline(__always)
func prepareRows(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ run: Int, asFloats: Bool, inOrder: Bool
) {
  let width = task.pointee.keyWidth
  let pairs = task.pointee.pairs
  let group = task.pointee.group
  // With a softcap scores are capped in natural units and turn into units of log2 afterwards.
  let factor = task.pointee.scale * (task.pointee.softcap > 0 ? 1 : log2e)
  let rotaryFactor = factor * task.pointee.rotaryScale
  let isPaired = (task.pointee.keyElement.isBFloat16 || asFloats) && !inOrder
  // The usual case: all channels turn, by whole vectors.
  let isWhole =
    pairs > 0 && pairs & 15 == 0 && width == 2 * pairs
    && (!isPaired || asFloats || dotsPairs(task))
  var row = 0
  while row < task.pointee.rowCount {
    let token = row / group
    let source = queryRow(task, row, token)
    if row + rowsAhead < task.pointee.rowCount {
      askNear(Raw(queryRow(task, row + rowsAhead, (row + rowsAhead) / group)), width * 4)
    }
    if isWhole {
      prepareWhole(
        source, pairs, task.pointee.pairOrder, rotaryFactor,
        turnsOf(task.pointee.tokenTurns, token * width),
        run > 0 ? turnsOf(task.pointee.runTurns, run * width) : nil,
        scratch.queries + row * scratch.queryRowBytes, isPaired, asFloats)
      row += 1
      continue
    }
    let ordered = scratch.row
    gatherRotary(source, pairs, width, task.pointee.pairOrder, ordered)
    scaleRow(ordered, 0, 2 * pairs, rotaryFactor)
    scaleRow(ordered, 2 * pairs, width, factor)
    if pairs > 0 {
      if let turns = turnsOf(task.pointee.tokenTurns, token * 2 * pairs) {
        turn(ordered, turns, pairs)
      }
      if run > 0, let turns = turnsOf(task.pointee.runTurns, run * 2 * pairs) {
        turn(ordered, turns, pairs)
      }
    }
    let target = scratch.queries + row * scratch.queryRowBytes
    if isPaired {
      pairRow(ordered, pairs, width, scratch.turned)
      if asFloats || !dotsPairs(task) {
        target.copyMemory(from: scratch.turned, byteCount: (width + 1) / 2 * 8)
      } else {
        storePairedRow(scratch.turned, (width + 1) / 2, target)
      }
    } else {
      target.copyMemory(from: ordered, byteCount: width * 4)
      let row = target.assumingMemoryBound(to: Float.self)
      var channel = width
      // Codes are multiplied sixteen at a time.
      while channel & 15 != 0 {
        row[channel] = 0
        channel += 1
      }
    }
    row += 1
  }
}

/// A query row as the caller gives it.
@inline(__always)
func queryRow(_ task: UnsafePointer<LeafTask>, _ row: Int, _ token: Int) -> UnsafePointer<Float> {
  task.pointee.queries + token * task.pointee.tokenStride
    + (row - token * task.pointee.group) * task.pointee.headStride
}

/// `prepareRows` for one row of 2·`pairs` channels in either order, sixteen pairs at a time: f32 in halves, or for paired keys neighbours,
/// in bf16, or f32 if `asFloats` is set.
@inline(__always)
func prepareWhole(
  _ source: UnsafePointer<Float>, _ pairs: Int, _ order: PairOrder, _ factor: Float,
  _ tokenTurn: UnsafePointer<Float>?, _ runTurn: UnsafePointer<Float>?,
  _ target: UnsafeMutableRawPointer, _ isPaired: Bool, _ asFloats: Bool
) {
  let factors = attention_splat(factor)
  var pair = 0
  while pair < pairs {
    var u: Vector
    var v: Vector
    if order.isInterleaved {
      let (first, second) = (
        attention_load(source + 2 * pair), attention_load(source + 2 * pair + 16)
      )
      u = attention_unzip_even(first, second)
      v = attention_unzip_odd(first, second)
    } else {
      u = attention_load(source + pair)
      v = attention_load(source + pairs + pair)
    }
    u = attention_multiply(u, factors)
    v = attention_multiply(v, factors)
    if let tokenTurn { (u, v) = turned(u, v, tokenTurn + pair, pairs) }
    if let runTurn { (u, v) = turned(u, v, runTurn + pair, pairs) }
    let row = target.assumingMemoryBound(to: Float.self)
    if isPaired && asFloats {
      attention_store(row + 2 * pair, attention_zip_first(u, v))
      attention_store(row + 2 * pair + 16, attention_zip_last(u, v))
    } else if isPaired {
      #if KERNELS_AVX512BF16
      attention_store_pairs(target + 4 * pair, attention_pair_bfloats(u, v))
      #endif
    } else {
      attention_store(row + pair, u)
      attention_store(row + pairs + pair, v)
    }
    pair += 16
  }
}

/// (u·cos − v·sin, u·sin + v·cos) for sixteen pairs; `turns` is `[cos | sin]`, each `pairs` long.
@inline(__always)
func turned(_ u: Vector, _ v: Vector, _ turns: UnsafePointer<Float>, _ pairs: Int) -> (
  Vector, Vector
) {
  let c = attention_load(turns)
  let s = attention_load(turns + pairs)
  return (
    attention_subtract(attention_multiply(u, c), attention_multiply(v, s)),
    attention_fma(v, c, attention_multiply(u, s))
  )
}

/// Copies a vector into rotary order: first members, second members, the rest.
@inline(__always)
func gatherRotary(
  _ source: UnsafePointer<Float>, _ pairs: Int, _ width: Int, _ order: PairOrder, _ target: Floats
) {
  var channel = 0
  if order.isInterleaved {
    while channel < pairs {
      target[channel] = source[2 * channel]
      target[pairs + channel] = source[2 * channel + 1]
      channel += 1
    }
    channel = 2 * pairs
  }
  while channel < width {
    target[channel] = source[channel]
    channel += 1
  }
}

@inline(__always)
func scaleRow(_ row: Floats, _ start: Int, _ end: Int, _ factor: Float) {
  var channel = start
  while channel < end {
    row[channel] *= factor
    channel += 1
  }
}

/// (u, v) ← (u·cos − v·sin, u·sin + v·cos) for every pair of a row in rotary order; `turns` is `[cos | sin]`.
@inline(__always)
func turn(_ row: Floats, _ turns: UnsafePointer<Float>, _ pairs: Int) {
  var pair = 0
  while pair + 16 <= pairs {
    let (u, v) = turned(
      attention_load(row + pair), attention_load(row + pairs + pair), turns + pair, pairs)
    attention_store(row + pair, u)
    attention_store(row + pairs + pair, v)
    pair += 16
  }
  while pair < pairs {
    let u = row[pair]
    let v = row[pairs + pair]
    row[pair] = u * turns[pair] - v * turns[pairs + pair]
    row[pairs + pair] = u * turns[pairs + pair] + v * turns[pair]
    pair += 1
  }
}

/// From rotary order to neighbours that share a lane; an odd width gains a zero.
@inline(__always)
func pairRow(_ row: Floats, _ pairs: Int, _ width: Int, _ target: Floats) {
  var pair = 0
  while pair < pairs {
    target[2 * pair] = row[pair]
    target[2 * pair + 1] = row[pairs + pair]
    pair += 1
  }
  var channel = 2 * pairs
  while channel < width {
    target[channel] = row[channel]
    channel += 1
  }
  if width & 1 == 1 { target[width] = 0 }
}

/// Stores a row of neighbours as the left factor of a bf16 product.
@inline(__always)
func storePairedRow(_ row: UnsafePointer<Float>, _ count: Int, _ target: UnsafeMutableRawPointer) {
  #if KERNELS_AVX512BF16
  let bits = target.assumingMemoryBound(to: UInt16.self)
  var channel = 0
  while channel + 16 <= 2 * count {
    attention_store_bfloat(bits + channel, attention_load(row + channel))
    channel += 16
  }
  while channel < 2 * count {
    bits[channel] = attention_bfloat_bit(row[channel])
    channel += 1
  }
  #else
  target.copyMemory(from: row, byteCount: count * 8)
  #endif
}

@inline(__always)
func turnsOf(_ turns: UnsafePointer<Float>?, _ offset: Int) -> UnsafePointer<Float>? {
  if let turns { return turns + offset }
  return nil
}
