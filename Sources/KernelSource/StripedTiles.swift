import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Tiles.swift.

#if !(KERNELS_AVX512 || KERNELS_AVX512BF16)
/// All groups of the right matrix, in stripes whose sums fit the registers; `rows` is literal.
///
/// A matrix that comes from memory is taken in blocks of stored rows that all stripes see before the next block comes (Documentation/Kernels.md).
/// The sums wait in memory between blocks, which changes no bit.
@inline(__always)
func passes<O: Operand>(_ operand: O.Type, _ rows: Int, _ p: Product, _ adds: Bool) {
  let isWhole = !p.streams || p.groupCount * 16 <= groupsPerPass(operand, rows) * tileColumns
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
  // Of a remainder no group is left alone, whose few sums would wait for each other.
  let least = min(most, 2)
  var right = p.right
  var asked = p.right
  var result = p.result
  var remaining = p.groupCount * 2
  while remaining > 0 {
    let take = remaining == most || remaining >= most + least ? most : least
    if take == most {
      tileToMemory(
        operand, InlineArray<12, UInt8>(repeating: 0), rows, most, adds, p.left, p.leftRowBytes,
        right, p.rightRowBytes, p.count, result, p.resultStride, asked, p.ahead)
    } else {
      tileToMemory(
        operand, InlineArray<8, UInt8>(repeating: 0), rows, least, adds, p.left, p.leftRowBytes,
        right, p.rightRowBytes, p.count, result, p.resultStride, asked, p.ahead)
    }
    right += take * O.groupBytes
    asked += take * O.groupBytes * p.count
    result += take * tileColumns
    remaining -= take
  }
}

/// Groups of `tileColumns` columns that a tile of so many rows takes at once, so that its sums fit the registers.
///
/// With AVX2 nine to twelve sums for three rows or more, of sixteen registers: eight hide the latency of a multiply-add only if nothing ever
/// waits. What is widened takes registers of its own; four rows of f32 wait for memory alone, which delivers less to stripes of 24 columns.
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
