import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Tiles.swift.

/// Queries that meet the scales of quantised keys.
struct QueryScaling: RowsTogether {
  var queries: UnsafeMutableRawPointer
  var queryRowBytes: Int
  /// Scales, then zeros, of the channels in f16, for each scale group of slots; so far from one to the next.
  var factors: Raw
  var factorStep: Int
  /// Channels, in whole sixteens.
  var width: Int
  var code: PageCode
  /// The largest integer.
  var top: Float
  /// Room for four rows of `width` numbers for each group.
  var scaled: Floats
  /// The integers, `LeafTask.rowsPerBlock` rows for each group.
  var result: UnsafeMutableRawPointer
  var resultRowBytes: Int
  /// What an integer of each row stands for, and Σ q·zero, for each group likewise.
  var rowScales: Floats
  var rowShifts: Floats
  /// What is asked for meanwhile, a part whenever 16 channels are read (`firstScalingAsks`), if anything is.
  var asked: Raw
  var asks: Bool
  var asksTwice: Bool

  /// Goes on to rows that ask for nothing.
  @inline(__always)
  mutating func skip(_ rows: Int) {
    queries += queryRowBytes * rows
    result += resultRowBytes * rows
    rowScales += rows
    rowShifts += rows
    asks = false
  }

  @inline(__always) func advanceOne() { scaleOne(self) }
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  @inline(__always) func advanceTwo() { scaleTwo(self) }
  @inline(__always) func advanceThree() { scaleThree(self) }
  @inline(__always) func advanceFour() { scaleFour(self) }
  #endif
}

/// Bytes of the keys to come that are asked for whenever 16 channels meet their scales, and later when they are rounded: the
/// factors and what tiles do not ask for (`CodedAsks`).
@inline(__always)
func firstScalingAsks(_ code: PageCode) -> Int { code.isInt4 ? 128 : 192 }
@inline(__always)
func laterScalingAsks(_ code: PageCode) -> Int { 128 }

/// Scale groups of the slots of a page.
@inline(__always)
func scaleGroups(_ code: PageCode) -> Int { code.isInt4 ? 2 : 1 }

@inline(never) func scaleOne(_ s: QueryScaling) { scale(InlineArray<1, UInt8>(repeating: 0), s) }
#if KERNELS_AVX512 || KERNELS_AVX512BF16
@inline(never) func scaleTwo(_ s: QueryScaling) { scale(InlineArray<2, UInt8>(repeating: 0), s) }
@inline(never) func scaleThree(_ s: QueryScaling) { scale(InlineArray<3, UInt8>(repeating: 0), s) }
@inline(never) func scaleFour(_ s: QueryScaling) { scale(InlineArray<4, UInt8>(repeating: 0), s) }
#endif

@inline(__always)
func scale<let rows: Int>(_ shape: InlineArray<rows, UInt8>, _ s: QueryScaling) {
  if s.code.isInt4 {
    scale(shape, s, .int4)
  } else {
    scale(shape, s, .int8)
  }
}

/// Queries times the scales of the channels, as integers; what one of them stands for, and Σ q·zero; `code` is literal.
///
/// A query that is not finite makes the sum, and so all of its scores, NaN; an infinite one of a channel whose keys are all equal makes
/// them infinite or NaN.
@inline(__always)
func scale<let rows: Int>(
  _ shape: InlineArray<rows, UInt8>, _ s: QueryScaling, _ code: PageCode
) {
  var largest = InlineArray<rows, Vector>(repeating: Vector())
  var constant = InlineArray<rows, Vector>(repeating: Vector())
  // Of slots from 32 on.
  var laterLargest = InlineArray<rows, Vector>(repeating: Vector())
  var laterConstant = InlineArray<rows, Vector>(repeating: Vector())
  let block = s.width * 4
  let first = s.asks ? firstScalingAsks(code) : 0
  var channel = 0
  while channel < s.width {
    askCodes(s.asked + channel / 16 * first, first, asksTwice: s.asksTwice)
    let factors = s.factors + 2 * channel
    let scales = attention_load_half(factors)
    let zeros = attention_load_half(factors + 2 * s.width)
    let laterScales = scaleGroups(code) > 1 ? attention_load_half(factors + s.factorStep) : scales
    let laterZeros =
      scaleGroups(code) > 1 ? attention_load_half(factors + s.factorStep + 2 * s.width) : zeros
    var row = 0
    while row < rows {
      let q = attention_load(s.queries + row * s.queryRowBytes + 4 * channel)
      let to = s.scaled + row * s.width + channel
      scale(q, scales, zeros, to, &largest[unchecked: row], &constant[unchecked: row])
      if scaleGroups(code) > 1 {
        scale(
          q, laterScales, laterZeros, to + block, &laterLargest[unchecked: row],
          &laterConstant[unchecked: row])
      }
      row += 1
    }
    channel += 16
  }
  let inverses = invert(shape, s, largest, constant, 0)
  let laterInverses =
    scaleGroups(code) > 1
    ? invert(shape, s, laterLargest, laterConstant, LeafTask.rowsPerBlock) : inverses
  let asked = s.asked + s.width / 16 * first
  let later = s.asks ? laterScalingAsks(code) : 0
  var result = s.result
  channel = 0
  while channel < s.width {
    askCodes(asked + channel / 16 * later, later, asksTwice: s.asksTwice)
    var row = 0
    while row < rows {
      let from = s.scaled + row * s.width + channel
      let to = result + row * s.resultRowBytes
      let lane = Int32(truncatingIfNeeded: row)
      round(from, attention_splat_of_four(inverses, lane), to, code)
      if scaleGroups(code) > 1 {
        round(
          from + block, attention_splat_of_four(laterInverses, lane),
          to + LeafTask.rowsPerBlock * s.resultRowBytes, code)
      }
      row += 1
    }
    result += factorBytes(code)
    channel += 16
  }
}

/// 16 channels of a query and of a scale group.
@inline(__always)
func scale(
  _ q: Vector, _ scales: Vector, _ zeros: Vector, _ to: Floats, _ largest: inout Vector,
  _ constant: inout Vector
) {
  let scaled = attention_multiply(q, scales)
  attention_store(to, scaled)
  largest = attention_maximum(largest, attention_magnitude(scaled))
  constant = attention_fma(q, zeros, constant)
}

/// What turns a scale group's products into integers, for each row; what these stand for is stored `block` rows on.
@inline(__always)
func invert<let rows: Int>(
  _ shape: InlineArray<rows, UInt8>, _ s: QueryScaling, _ largest: InlineArray<rows, Vector>,
  _ constant: InlineArray<rows, Vector>, _ block: Int
) -> Vector {
  let most = largestOfRows(largest)
  let top = attention_splat(s.top)
  let sums = sumsOfRows(constant)
  storeRows(
    shape, s.rowShifts + block,
    attention_where_below(most, .infinity, sums, attention_splat(.nan)))
  // Where an inverse might overflow the codes weigh nothing.
  storeRows(
    shape, s.rowScales + block,
    attention_where_below(most, 0x1p-100, Vector(), attention_divide(most, top)))
  return attention_where_below(most, 0x1p-100, Vector(), attention_divide(top, most))
}

/// 16 products as integers.
@inline(__always)
func round(_ from: Floats, _ inverse: Vector, _ to: UnsafeMutableRawPointer, _ code: PageCode) {
  storeFactors(to, attention_round_product(attention_load(from), inverse), code)
}

/// The largest lane of each of up to four rows' vectors, in each four lanes.
@inline(__always)
func largestOfRows<let rows: Int>(_ vectors: InlineArray<rows, Vector>) -> Vector {
  let (a, b, c, d) = four(vectors)
  return attention_largest_of_four(a, b, c, d)
}

/// The sums of the lanes likewise.
@inline(__always)
func sumsOfRows<let rows: Int>(_ vectors: InlineArray<rows, Vector>) -> Vector {
  let (a, b, c, d) = four(vectors)
  return attention_sums_of_four(a, b, c, d)
}

@inline(__always)
func sumsOfRows<let rows: Int>(_ vectors: InlineArray<rows, Integers>) -> Integers {
  let (a, b, c, d) = four(vectors)
  return attention_integer_sums_of_four(a, b, c, d)
}

/// Up to four rows' vectors, the first one again where there are fewer.
@inline(__always)
func four<let rows: Int, V>(_ vectors: InlineArray<rows, V>) -> (V, V, V, V) {
  (
    vectors[unchecked: 0], vectors[unchecked: rows > 1 ? 1 : 0],
    vectors[unchecked: rows > 2 ? 2 : 0], vectors[unchecked: rows > 3 ? 3 : 0]
  )
}

/// Numbers of up to four rows, in each four lanes.
@inline(__always)
func numbers<let rows: Int>(_: InlineArray<rows, UInt8>, _ from: Floats) -> Vector {
  attention_fours(
    from[0], from[rows > 1 ? 1 : 0], from[rows > 2 ? 2 : 0], from[rows > 3 ? 3 : 0])
}

/// Numbers of up to four rows; where it is more than one, four numbers are written.
@inline(__always)
func storeRows<let rows: Int>(_: InlineArray<rows, UInt8>, _ to: Floats, _ numbers: Vector) {
  if rows == 1 {
    attention_store_first(to, numbers)
  } else {
    attention_store_four(to, numbers)
  }
}
