import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Attend.swift.

/// Queries that meet one scale group of quantised keys.
struct QueryScaling {
  var queries: UnsafeMutableRawPointer
  var queryRowBytes: Int
  /// Scales, then zeros, of the channels in f16; the codes follow.
  var factors: Raw
  /// Channels, in whole sixteens.
  var width: Int
  var code: PageCode
  /// The largest integer.
  var top: Float
  /// Room for four rows of `width` numbers.
  var scaled: Floats
  var result: UnsafeMutableRawPointer
  var resultRowBytes: Int
  /// What an integer of each row stands for, and Σ q·zero.
  var rowScales: Floats
  var rowShifts: Floats
  /// What is asked for meanwhile, a part whenever 16 channels are read (`firstScalingAsks`), if anything is.
  var asked: Raw
  var asks: Bool
  var asksTwice: Bool
}

/// Bytes of a scale group to come that are asked for whenever 16 channels meet their scales, and later when they are rounded: its
/// factors and what tiles do not ask for (`CodedAsks`).
@inline(__always)
func firstScalingAsks(_ code: PageCode) -> Int { code.isInt4 ? 64 : 192 }
@inline(__always)
func laterScalingAsks(_ code: PageCode) -> Int { code.isInt4 ? 64 : 128 }

/// Turns up to four queries into integers; how many it has been.
@inline(__always)
func scaleQueries(_ s: QueryScaling, _ rows: Int) -> Int {
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  switch rows {
  case 1: break
  case 2:
    scaleTwo(s)
    return 2
  case 3:
    scaleThree(s)
    return 3
  default:
    scaleFour(s)
    return 4
  }
  #endif
  scaleOne(s)
  return 1
}

@inline(never) func scaleOne(_ s: QueryScaling) { scale(InlineArray<1, UInt8>(repeating: 0), s) }
#if KERNELS_AVX512 || KERNELS_AVX512BF16
@inline(never) func scaleTwo(_ s: QueryScaling) { scale(InlineArray<2, UInt8>(repeating: 0), s) }
@inline(never) func scaleThree(_ s: QueryScaling) { scale(InlineArray<3, UInt8>(repeating: 0), s) }
@inline(never) func scaleFour(_ s: QueryScaling) { scale(InlineArray<4, UInt8>(repeating: 0), s) }
#endif

/// Queries times the scales of the channels, as integers; what one of them stands for, and Σ q·zero.
///
/// A query that is not finite makes the sum, and so all of its scores, NaN.
@inline(__always)
func scale<let rows: Int>(_ shape: InlineArray<rows, UInt8>, _ s: QueryScaling) {
  var largest = InlineArray<rows, Vector>(repeating: Vector())
  var constant = InlineArray<rows, Vector>(repeating: Vector())
  let first = s.asks ? firstScalingAsks(s.code) : 0
  let later = s.asks ? laterScalingAsks(s.code) : 0
  var channel = 0
  while channel < s.width {
    askCodes(s.asked + channel / 16 * first, first, asksTwice: s.asksTwice)
    let scales = attention_load_half(s.factors + 2 * channel)
    let zeros = attention_load_half(s.factors + 2 * (s.width + channel))
    var row = 0
    while row < rows {
      let q = attention_load(s.queries + row * s.queryRowBytes + 4 * channel)
      let scaled = attention_multiply(q, scales)
      attention_store(s.scaled + row * s.width + channel, scaled)
      largest[unchecked: row] = attention_maximum(
        largest[unchecked: row], attention_magnitude(scaled))
      constant[unchecked: row] = attention_fma(q, zeros, constant[unchecked: row])
      row += 1
    }
    channel += 16
  }
  var inverses = InlineArray<rows, Vector>(repeating: Vector())
  var row = 0
  while row < rows {
    let most = attention_largest(largest[unchecked: row])
    // Where an inverse might overflow the codes weigh nothing.
    inverses[unchecked: row] = attention_splat(most < 0x1p-100 ? 0 : s.top / most)
    s.rowScales[row] = most < 0x1p-100 ? 0 : most / s.top
    s.rowShifts[row] = most < .infinity ? attention_sum(constant[unchecked: row]) : .nan
    row += 1
  }
  var result = s.result
  channel = 0
  while channel < s.width {
    askCodes(
      s.asked + s.width / 16 * first + channel / 16 * later, later, asksTwice: s.asksTwice)
    row = 0
    while row < rows {
      storeFactors(
        result + row * s.resultRowBytes,
        attention_round_to_integers(
          attention_multiply(
            attention_load(s.scaled + row * s.width + channel), inverses[unchecked: row])), s.code)
      row += 1
    }
    result += factorBytes(s.code)
    channel += 16
  }
}
