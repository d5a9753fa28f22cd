import CKernelShim
import KernelTable

// SAFETY: this module is pointers from end to end. Kernels check nothing: the plan, the slot writer and the
// linear layer have checked every shape, address and length before a task reaches them.
//
// In a debug build, which is not whole-module, only what stands in one file is inlined: the tiles here keep their speed, those of
// FullTiles.swift, which take most of a prefill, do not.

typealias Vector = SIMD16<Float>
typealias Pairs = SIMD16<UInt32>
typealias Floats = UnsafeMutablePointer<Float>
typealias Raw = UnsafeRawPointer
/// A vector of a tile's sums.
typealias TileVector = attention_tile_f32

/// How a matrix whose 64 columns stand side by side is read, and what multiplies it.
///
/// A stored row is one input for f32 and f16, two that share 32-bit lanes for bf16; widened, these are its two halves.
protocol Operand {
  associatedtype Left
  associatedtype Right
  /// Bytes of the `tileColumns` of a stored row.
  static var groupBytes: Int { get }
  /// Bytes of the left factor for one stored row.
  static var leftBytes: Int { get }
  /// Products that a stored row takes for each sum.
  static var halves: Int { get }
  static func left(_ address: Raw, _ half: Int) -> Left
  static func right(_ address: Raw, _ half: Int) -> Right
  static func multiply(_ sum: TileVector, _ left: Left, _ right: Right) -> TileVector
}

extension Operand {
  @inline(__always) static var leftBytes: Int { 4 * halves }
  @inline(__always) static var halves: Int { 1 }
}

/// Both factors in f32, or widened to it.
extension Operand where Left == TileVector, Right == TileVector {
  @inline(__always) static func left(_ address: Raw, _ half: Int) -> TileVector {
    attention_tile_splat((address + 4 * half).loadUnaligned(as: Float.self))
  }
  @inline(__always) static func multiply(_ sum: TileVector, _ left: TileVector, _ right: TileVector)
    -> TileVector
  {
    attention_tile_fma(left, right, sum)
  }
}

enum Float32Operand: Operand {
  @inline(__always) static var groupBytes: Int { 4 * tileColumns }
  @inline(__always) static func right(_ address: Raw, _ half: Int) -> TileVector {
    attention_tile_load(address)
  }
}

enum Float16Operand: Operand {
  @inline(__always) static var groupBytes: Int { 2 * tileColumns }
  @inline(__always) static func right(_ address: Raw, _ half: Int) -> TileVector {
    attention_tile_load_half(address)
  }
}

#if KERNELS_AVX512BF16
/// Both factors in bf16 pairs, by the dot-product instruction.
enum DottedPairOperand: Operand {
  @inline(__always) static var groupBytes: Int { 64 }
  @inline(__always) static func left(_ address: Raw, _ half: Int) -> Pairs {
    attention_splat_pair(address)
  }
  @inline(__always) static func right(_ address: Raw, _ half: Int) -> Pairs {
    attention_load_pairs(address)
  }
  @inline(__always) static func multiply(_ sum: Vector, _ left: Pairs, _ right: Pairs) -> Vector {
    attention_dot_pairs(sum, left, right)
  }
}
#endif

/// bf16 pairs widened to f32; the left factor stays in f32, two numbers for each stored row.
enum WidenedPairOperand: Operand {
  @inline(__always) static var groupBytes: Int { 4 * tileColumns }
  @inline(__always) static var halves: Int { 2 }
  @inline(__always) static func right(_ address: Raw, _ half: Int) -> TileVector {
    half == 0 ? attention_tile_first_of_pairs(address) : attention_tile_second_of_pairs(address)
  }
}

/// Columns of a group: the lanes of `TileVector`.
@inline(__always) var tileColumns: Int { Int(ATTENTION_TILE_LANES) }

/// Whether a pass takes all columns of a panel.
@inline(__always)
var takesWholeRows: Bool {
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  return true
  #else
  return false
  #endif
}

/// Most rows of a tile.
@inline(__always)
var largestTile: Int {
  #if KERNELS_BASELINE
  return 3
  #else
  return 6
  #endif
}

/// Of so many stored rows of what comes next, a tile that takes all rows of a block asks for all but the last: the softmax asks for
/// those, so that the memory goes on delivering.
@inline(__always) var askedRows: Int { 8 }

/// Asks for `bytes` of what comes after `from`, on behalf of a stored row; 0 for one that is never left out, as in a stripe.
@inline(__always)
func askAhead(_ from: Raw, _ step: Int, _ bytes: Int, _ ahead: Ahead) {
  askNear(from + ahead.near, bytes)
  guard ahead.next != 0 else { return }
  // No branch: those that are left out ask for what is here already.
  let isLeftOut = step & (askedRows - 1) == askedRows - 1
  askFar(from + (isLeftOut ? 0 : ahead.next), bytes)
}

/// sums[row][group] += left[row][·] × right[·][`tileColumns` of each group], one chain per sum in stored order.
///
/// A tile that takes a stripe of the columns asks for as many bytes as it reads, but from `asked` on: the stripes of a matrix
/// ask for what follows it line after line.
@inline(__always)
func tile<O: Operand, let sums: Int>(
  _ operand: O.Type, _ rows: Int, _ groups: Int, _ sum: inout InlineArray<sums, TileVector>,
  _ left: Raw, _ leftRowBytes: Int, _ right: Raw, _ rightRowBytes: Int, _ count: Int,
  _ asked: Raw, _ ahead: Ahead
) {
  var left = left
  var right = right
  var asked = asked
  var step = 0
  // With AVX2, one more address takes six rows of bf16 a register that their sums need: a prefill would lose 5 %.
  let asksInOrder = !takesWholeRows && !(rows == 6 && O.halves == 2)
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  if ahead.shares > 1 {
    // A loop of its own: with its second address and its test, a tile that asks for all would lose 5 % (f32, bf16).
    while step < count {
      if step & (ahead.shares - 1) == 0 {
        askAhead(asked, 0, groups * O.groupBytes, ahead)
        asked += groups * O.groupBytes
      }
      addStep(operand, rows, groups, &sum, left, leftRowBytes, right)
      left += O.leftBytes
      right += rightRowBytes
      step += 1
    }
    return
  }
  #endif
  // Where nothing is wanted, four rows of bf16 with AVX2 ask for what is here: in a loop without that the compiler keeps a sum in memory (decode
  // with 64/8 heads, 22.4 ms instead of 19.2).
  let asksAlways = !takesWholeRows && rows == 4 && O.halves == 2
  if asksAlways || ahead.near != 0 {
    while step < count {
      askAhead(
        asksInOrder ? asked : right, takesWholeRows ? step : 0, groups * O.groupBytes, ahead)
      addStep(operand, rows, groups, &sum, left, leftRowBytes, right)
      asked += groups * O.groupBytes
      left += O.leftBytes
      right += rightRowBytes
      step += 1
    }
    return
  }
  // Two products at a time: the end of a loop that turns fewer times is foreseen.
  while O.halves == 1 && step + 1 < count {
    addStep(operand, rows, groups, &sum, left, leftRowBytes, right)
    addStep(operand, rows, groups, &sum, left + O.leftBytes, leftRowBytes, right + rightRowBytes)
    left += 2 * O.leftBytes
    right += 2 * rightRowBytes
    step += 2
  }
  while step < count {
    addStep(operand, rows, groups, &sum, left, leftRowBytes, right)
    left += O.leftBytes
    right += rightRowBytes
    step += 1
  }
}

/// Whether the factors of a stored row stay in registers while its columns pass by, instead of the other way round.
@inline(__always)
func holdsFactors(_ rows: Int, _ groups: Int) -> Bool {
  #if KERNELS_AVX2
  return rows < groups
  #else
  return false
  #endif
}

/// One stored row of `tile`; halves one after the other, so that what is widened for one leaves its registers to the other.
@inline(__always)
func addStep<O: Operand, let sums: Int>(
  _: O.Type, _ rows: Int, _ groups: Int, _ sum: inout InlineArray<sums, TileVector>, _ left: Raw,
  _ leftRowBytes: Int, _ right: Raw
) {
  var half = 0
  while half < O.halves {
    if holdsFactors(rows, groups) {
      let factor0 = O.left(left, half)
      let factor1 = rows > 1 ? O.left(left + leftRowBytes, half) : factor0
      let factor2 = rows > 2 ? O.left(left + 2 * leftRowBytes, half) : factor0
      var at = 0
      while at < groups {
        let right = O.right(right + at * O.groupBytes, half)
        sum[unchecked: at] = O.multiply(sum[unchecked: at], factor0, right)
        if rows > 1 {
          sum[unchecked: groups + at] = O.multiply(sum[unchecked: groups + at], factor1, right)
        }
        if rows > 2 {
          sum[unchecked: 2 * groups + at] = O.multiply(
            sum[unchecked: 2 * groups + at], factor2, right)
        }
        at += 1
      }
    } else {
      let right0 = O.right(right, half)
      let right1 = groups > 1 ? O.right(right + O.groupBytes, half) : right0
      let right2 = groups > 2 ? O.right(right + 2 * O.groupBytes, half) : right0
      let right3 = groups > 3 ? O.right(right + 3 * O.groupBytes, half) : right0
      var row = 0
      while row < rows {
        let factor = O.left(left + row * leftRowBytes, half)
        let at = row * groups
        sum[unchecked: at] = O.multiply(sum[unchecked: at], factor, right0)
        if groups > 1 {
          sum[unchecked: at + 1] = O.multiply(sum[unchecked: at + 1], factor, right1)
        }
        if groups > 2 {
          sum[unchecked: at + 2] = O.multiply(sum[unchecked: at + 2], factor, right2)
        }
        if groups > 3 {
          sum[unchecked: at + 3] = O.multiply(sum[unchecked: at + 3], factor, right3)
        }
        row += 1
      }
    }
    half += 1
  }
}

/// result[row][column] (+)= left × right over `groups` groups of columns.
@inline(__always)
func tileToMemory<O: Operand, let sums: Int>(
  _ operand: O.Type, _ shape: InlineArray<sums, UInt8>, _ rows: Int, _ groups: Int, _ adds: Bool,
  _ left: Raw, _ leftRowBytes: Int, _ right: Raw, _ rightRowBytes: Int, _ count: Int,
  _ result: Floats, _ resultStride: Int, _ asked: Raw, _ ahead: Ahead
) {
  var sum = InlineArray<sums, TileVector>(repeating: TileVector())
  if adds { loadSums(&sum, rows, groups, result, resultStride) }
  tile(
    operand, rows, groups, &sum, left, leftRowBytes, right, rightRowBytes, count,
    asked, ahead)
  storeSums(sum, rows, groups, result, resultStride)
}

/// A left matrix of f32 or bf16 pairs times a right one of 16·`groupCount` columns, in memory.
///
/// `leftRowBytes`: from one row of the left factor to the next. `rightRowBytes`: from one stored row to the next.
struct Product {
  var rows: Int
  var left: Raw
  var leftRowBytes: Int
  var right: Raw
  var rightRowBytes: Int
  /// Stored rows.
  var count: Int
  var groupCount: Int
  var result: Floats
  var resultStride: Int
  /// Whether the right matrix comes from memory and passes by once, as it does under few rows.
  var streams: Bool
  var ahead: Ahead
  /// Whether a right matrix in bf16 pairs meets a left one in such pairs; otherwise that is f32.
  var dotsPairs: Bool
}

#if !(KERNELS_AVX512 || KERNELS_AVX512BF16)
/// All groups of the right matrix, in stripes whose sums fit the registers; `rows` is literal.
///
/// A matrix that comes from memory is taken in blocks of stored rows that all stripes see before the next block comes (Documentation/Kernels.md).
/// The sums wait in memory between blocks, which changes no bit.
@inline(__always)
func passes<O: Operand>(_ operand: O.Type, _ rows: Int, _ p: Product, _ adds: Bool) {
  let most = groupsPerPass(operand, rows)
  let isWhole =
    !p.streams
    || groupsOfStripe(p.groupCount * 16 / tileColumns, most) * tileColumns == p.groupCount * 16
  let blockRows = isWhole ? p.count : 4096 / p.rightRowBytes
  var block = p
  var remaining = p.count
  var adds = adds
  repeat {
    block.count = min(blockRows, remaining)
    passesOfBlock(operand, rows, block, adds)
    block.left += block.count * O.leftBytes
    block.right += block.count * p.rightRowBytes
    remaining -= block.count
    adds = true
  } while remaining > 0
}

/// All stripes of a block.
///
/// Each call of `tileToMemory` has a shape of its own: of two calls of one specialisation the compiler inlines neither.
@inline(__always)
func passesOfBlock<O: Operand>(_ operand: O.Type, _ rows: Int, _ p: Product, _ adds: Bool) {
  let most = groupsPerPass(operand, rows)
  var right = p.right
  var asked = p.right
  var result = p.result
  var remaining = p.groupCount * 16 / tileColumns
  while remaining > 0 {
    let take = groupsOfStripe(remaining, most)
    if take == most {
      tileToMemory(
        operand, InlineArray<12, UInt8>(repeating: 0), rows, most, adds, p.left, p.leftRowBytes,
        right, p.rightRowBytes, p.count, result, p.resultStride, asked, p.ahead)
    } else if most > 4 && take == 4 {
      tileToMemory(
        operand, InlineArray<4, UInt8>(repeating: 0), 1, 4, adds, p.left, p.leftRowBytes, right,
        p.rightRowBytes, p.count, result, p.resultStride, asked, p.ahead)
    } else {
      tileToMemory(
        operand, InlineArray<8, UInt8>(repeating: 0), rows, 2, adds, p.left, p.leftRowBytes, right,
        p.rightRowBytes, p.count, result, p.resultStride, asked, p.ahead)
    }
    right += take * O.groupBytes
    asked += take * O.groupBytes * p.count
    result += take * tileColumns
    remaining -= take
  }
}

/// Groups of the next stripe: as many as it takes at most, unless one alone would be left, whose few sums would wait for each other; of
/// a remainder four, if one row may take eight, or two.
@inline(__always)
func groupsOfStripe(_ remaining: Int, _ most: Int) -> Int {
  if remaining == most || most == 1 || remaining >= most + 2 { return most }
  return most > 4 && remaining >= 4 ? 4 : 2
}

/// Groups of `tileColumns` columns that a tile of so many rows takes at once, so that its sums fit the registers.
///
/// With AVX2 nine to twelve sums for three rows or more, of sixteen registers: eight hide the latency of a multiply-add only if nothing ever
/// waits. What is widened takes registers of its own; four rows of f32 wait for memory, which delivers less to stripes of 24 columns.
/// Below that, each product takes a register before it is added, and widening f16 several instructions. All measured: Documentation/Kernels.md.
@inline(__always)
func groupsPerPass<O: Operand>(_: O.Type, _ rows: Int) -> Int {
  #if KERNELS_AVX2
  let isWidened = O.groupBytes < 4 * tileColumns * O.halves
  switch rows {
  case 1: return 8
  case 2: return 4
  case 3: return isWidened ? 3 : 4
  case 4: return isWidened ? 3 : 2
  default: return 2
  }
  #elseif arch(x86_64)
  let isHalf = O.groupBytes == 2 * tileColumns
  return rows == 1 ? 4 : rows == 2 || isHalf ? 2 : 1
  #else
  return rows == 1 ? 4 : 2
  #endif
}
#endif

#if KERNELS_AVX512 || KERNELS_AVX512BF16
/// All groups of the right matrix, in passes that fit the registers; `rows` is literal.
@inline(__always)
func passes<O: Operand>(_ operand: O.Type, _ rows: Int, _ p: Product, _ adds: Bool) {
  var group = 0
  while group < p.groupCount {
    let take = min(p.groupCount - group, 4)
    let at = p.right + group * O.groupBytes
    let to = p.result + 16 * group
    let asked = p.right + group * p.count * O.groupBytes
    switch take {
    case 4:
      tileToMemory(
        operand, InlineArray<24, UInt8>(repeating: 0), rows, 4, adds, p.left,
        p.leftRowBytes, at, p.rightRowBytes, p.count, to, p.resultStride, asked, p.ahead)
    case 3:
      tileToMemory(
        operand, InlineArray<18, UInt8>(repeating: 0), rows, 3, adds, p.left,
        p.leftRowBytes, at, p.rightRowBytes, p.count, to, p.resultStride, asked, p.ahead)
    case 2:
      tileToMemory(
        operand, InlineArray<12, UInt8>(repeating: 0), rows, 2, adds, p.left,
        p.leftRowBytes, at, p.rightRowBytes, p.count, to, p.resultStride, asked, p.ahead)
    default:
      tileToMemory(
        operand, InlineArray<6, UInt8>(repeating: 0), rows, 1, adds, p.left,
        p.leftRowBytes, at, p.rightRowBytes, p.count, to, p.resultStride, asked, p.ahead)
    }
    group += take
  }
}
#endif

#if KERNELS_AVX512 || KERNELS_AVX512BF16
/// Seven or eight rows, a literal number, in stripes of 32 columns.
///
/// Each line is read and widened once for all of them.
@inline(__always)
func stripes<O: Operand>(_ operand: O.Type, _ rows: Int, _ p: Product, _ adds: Bool) {
  var group = 0
  while group < p.groupCount {
    if p.groupCount - group > 1 {
      stripe(operand, InlineArray<8, UInt8>(repeating: 0), rows, 2, p, group, adds)
    } else {
      stripe(operand, InlineArray<4, UInt8>(repeating: 0), rows, 1, p, group, adds)
    }
    group += 2
  }
}

/// `tileToMemory` for a stripe, whose sums are two arrays: one of that size is not kept in registers.
@inline(__always)
func stripe<O: Operand, let sums: Int>(
  _ operand: O.Type, _ shape: InlineArray<sums, UInt8>, _ rows: Int, _ groups: Int, _ p: Product,
  _ group: Int, _ adds: Bool
) {
  let result = p.result + tileColumns * group
  var upper = InlineArray<sums, TileVector>(repeating: TileVector())
  var lower = InlineArray<sums, TileVector>(repeating: TileVector())
  if adds {
    loadSums(&upper, 4, groups, result, p.resultStride)
    loadSums(&lower, rows - 4, groups, result + 4 * p.resultStride, p.resultStride)
  }
  var left = p.left
  var right = p.right + group * O.groupBytes
  var asked = p.right + group * p.count * O.groupBytes / p.ahead.shares
  let askMask = p.ahead.shares - 1
  var step = 0
  while step < p.count {
    if step & askMask == 0 && p.ahead.near != 0 {
      askAhead(asked, 0, groups * O.groupBytes, p.ahead)
      asked += groups * O.groupBytes
    }
    addStep(operand, 4, groups, &upper, left, p.leftRowBytes, right)
    addStep(operand, rows - 4, groups, &lower, left + 4 * p.leftRowBytes, p.leftRowBytes, right)
    left += O.leftBytes
    right += p.rightRowBytes
    step += 1
  }
  storeSums(upper, 4, groups, result, p.resultStride)
  storeSums(lower, rows - 4, groups, result + 4 * p.resultStride, p.resultStride)
}
#endif

@inline(__always)
func loadSums<let sums: Int>(
  _ sum: inout InlineArray<sums, TileVector>, _ rows: Int, _ groups: Int, _ result: Floats,
  _ resultStride: Int
) {
  var row = 0
  while row < rows {
    var group = 0
    while group < groups {
      sum[unchecked: row * groups + group] = attention_tile_load(
        result + row * resultStride + tileColumns * group)
      group += 1
    }
    row += 1
  }
}

@inline(__always)
func storeSums<let sums: Int>(
  _ sum: InlineArray<sums, TileVector>, _ rows: Int, _ groups: Int, _ result: Floats,
  _ resultStride: Int
) {
  var row = 0
  while row < rows {
    var group = 0
    while group < groups {
      attention_tile_store(
        result + row * resultStride + tileColumns * group, sum[unchecked: row * groups + group])
      group += 1
    }
    row += 1
  }
}

// One function for each element and number of rows: the literal number lets every loop of a tile unroll, and a
// specialisation left standing, or a private function, would be a weak symbol.
@inline(never) func float32Rows1(_ p: Product, _ adds: Bool) {
  passes(Float32Operand.self, 1, p, adds)
}
@inline(never) func float16Rows1(_ p: Product, _ adds: Bool) {
  passes(Float16Operand.self, 1, p, adds)
}
@inline(never) func widenedRows1(_ p: Product, _ adds: Bool) {
  passes(WidenedPairOperand.self, 1, p, adds)
}
#if KERNELS_AVX512BF16
@inline(never) func dottedRows1(_ p: Product, _ adds: Bool) {
  passes(DottedPairOperand.self, 1, p, adds)
}
#endif
@inline(never) func float32Rows2(_ p: Product, _ adds: Bool) {
  passes(Float32Operand.self, 2, p, adds)
}
@inline(never) func float16Rows2(_ p: Product, _ adds: Bool) {
  passes(Float16Operand.self, 2, p, adds)
}
@inline(never) func widenedRows2(_ p: Product, _ adds: Bool) {
  passes(WidenedPairOperand.self, 2, p, adds)
}
#if KERNELS_AVX512BF16
@inline(never) func dottedRows2(_ p: Product, _ adds: Bool) {
  passes(DottedPairOperand.self, 2, p, adds)
}
#endif
@inline(never) func float32Rows3(_ p: Product, _ adds: Bool) {
  passes(Float32Operand.self, 3, p, adds)
}
@inline(never) func float16Rows3(_ p: Product, _ adds: Bool) {
  passes(Float16Operand.self, 3, p, adds)
}
@inline(never) func widenedRows3(_ p: Product, _ adds: Bool) {
  passes(WidenedPairOperand.self, 3, p, adds)
}
#if KERNELS_AVX512BF16
@inline(never) func dottedRows3(_ p: Product, _ adds: Bool) {
  passes(DottedPairOperand.self, 3, p, adds)
}
#endif
#if !KERNELS_BASELINE
@inline(never) func float32Rows4(_ p: Product, _ adds: Bool) {
  passes(Float32Operand.self, 4, p, adds)
}
@inline(never) func float16Rows4(_ p: Product, _ adds: Bool) {
  passes(Float16Operand.self, 4, p, adds)
}
@inline(never) func widenedRows4(_ p: Product, _ adds: Bool) {
  passes(WidenedPairOperand.self, 4, p, adds)
}
#if KERNELS_AVX512BF16
@inline(never) func dottedRows4(_ p: Product, _ adds: Bool) {
  passes(DottedPairOperand.self, 4, p, adds)
}
#endif
@inline(never) func float32Rows5(_ p: Product, _ adds: Bool) {
  passes(Float32Operand.self, 5, p, adds)
}
@inline(never) func float16Rows5(_ p: Product, _ adds: Bool) {
  passes(Float16Operand.self, 5, p, adds)
}
@inline(never) func widenedRows5(_ p: Product, _ adds: Bool) {
  passes(WidenedPairOperand.self, 5, p, adds)
}
#if KERNELS_AVX512BF16
@inline(never) func dottedRows5(_ p: Product, _ adds: Bool) {
  passes(DottedPairOperand.self, 5, p, adds)
}
#endif
@inline(never) func float32Rows6(_ p: Product, _ adds: Bool) {
  passes(Float32Operand.self, 6, p, adds)
}
@inline(never) func float16Rows6(_ p: Product, _ adds: Bool) {
  passes(Float16Operand.self, 6, p, adds)
}
@inline(never) func widenedRows6(_ p: Product, _ adds: Bool) {
  passes(WidenedPairOperand.self, 6, p, adds)
}
#if KERNELS_AVX512BF16
@inline(never) func dottedRows6(_ p: Product, _ adds: Bool) {
  passes(DottedPairOperand.self, 6, p, adds)
}
#endif
#endif

#if KERNELS_AVX512 || KERNELS_AVX512BF16
@inline(never) func float32Rows7(_ p: Product, _ adds: Bool) {
  stripes(Float32Operand.self, 7, p, adds)
}
@inline(never) func float32Rows8(_ p: Product, _ adds: Bool) {
  stripes(Float32Operand.self, 8, p, adds)
}
@inline(never) func float16Rows7(_ p: Product, _ adds: Bool) {
  stripes(Float16Operand.self, 7, p, adds)
}
@inline(never) func float16Rows8(_ p: Product, _ adds: Bool) {
  stripes(Float16Operand.self, 8, p, adds)
}
@inline(never) func widenedRows7(_ p: Product, _ adds: Bool) {
  stripes(WidenedPairOperand.self, 7, p, adds)
}
@inline(never) func widenedRows8(_ p: Product, _ adds: Bool) {
  stripes(WidenedPairOperand.self, 8, p, adds)
}
#endif
#if KERNELS_AVX512BF16
@inline(never) func dottedRows7(_ p: Product, _ adds: Bool) {
  stripes(DottedPairOperand.self, 7, p, adds)
}
@inline(never) func dottedRows8(_ p: Product, _ adds: Bool) {
  stripes(DottedPairOperand.self, 8, p, adds)
}
#endif

/// result = left × right, or result += left × right; at most `largestTile` rows, or those of a `stripedTile`.
@inline(__always)
func multiply(_ p: Product, _ element: StoredElement, adds: Bool) {
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  if isFull(p, element) {
    multiplyFull(p, element, adds)
  } else {
    multiplyTile(p, element, adds)
  }
  #else
  multiplyTile(p, element, adds)
  #endif
}

/// One tile.
@inline(never)
func multiplyTile(_ p: Product, _ element: StoredElement, _ adds: Bool) {
  #if KERNELS_AVX512BF16
  if p.dotsPairs && element.isBFloat16 {
    multiplyDotted(p, adds)
    return
  }
  #endif
  switch (element, p.rows) {
  case (.float32, 1): float32Rows1(p, adds)
  case (.float32, 2): float32Rows2(p, adds)
  case (.float16, 1): float16Rows1(p, adds)
  case (.float16, 2): float16Rows2(p, adds)
  case (.bfloat16, 1): widenedRows1(p, adds)
  case (.bfloat16, 2): widenedRows2(p, adds)
  #if !KERNELS_BASELINE
  case (.float32, 4): float32Rows4(p, adds)
  case (.float32, 5): float32Rows5(p, adds)
  case (.float32, 6): float32Rows6(p, adds)
  case (.float16, 4): float16Rows4(p, adds)
  case (.float16, 5): float16Rows5(p, adds)
  case (.float16, 6): float16Rows6(p, adds)
  case (.bfloat16, 4): widenedRows4(p, adds)
  case (.bfloat16, 5): widenedRows5(p, adds)
  case (.bfloat16, 6): widenedRows6(p, adds)
  #endif
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  case (.float32, 7): float32Rows7(p, adds)
  case (.float32, 8): float32Rows8(p, adds)
  case (.float16, 7): float16Rows7(p, adds)
  case (.float16, 8): float16Rows8(p, adds)
  case (.bfloat16, 7): widenedRows7(p, adds)
  case (.bfloat16, 8): widenedRows8(p, adds)
  #endif
  case (.float32, _): float32Rows3(p, adds)
  case (.float16, _): float16Rows3(p, adds)
  case (.bfloat16, _): widenedRows3(p, adds)
  }
}

#if KERNELS_AVX512BF16
@inline(never)
func multiplyDotted(_ p: Product, _ adds: Bool) {
  switch p.rows {
  case 1: dottedRows1(p, adds)
  case 2: dottedRows2(p, adds)
  case 3: dottedRows3(p, adds)
  case 4: dottedRows4(p, adds)
  case 5: dottedRows5(p, adds)
  case 7: dottedRows7(p, adds)
  case 8: dottedRows8(p, adds)
  default: dottedRows6(p, adds)
  }
}
#endif
