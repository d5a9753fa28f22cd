import KernelTable

/// Most rows of a block where there are more of them than one takes: more leave L1 no room for a page.
@inline(__always) var rowsOfManyBlocks: Int { 24 }

/// How the rows of a block are cut into tiles: as evenly as they can be, the first `tall` of them with `rows` each, the others with one less.
struct Tiles {
  var rows: Int
  var tall = 1
  var count = 1

  @inline(__always)
  init(one rows: Int) { self.rows = rows }

  @inline(__always)
  init(_ blockRows: Int, atMost most: Int) {
    rows = blockRows
    // Without a division where it is one.
    guard blockRows > most else { return }
    count = (blockRows + most - 1) / most
    rows = (blockRows + count - 1) / count
    tall = blockRows - count * (rows - 1)
  }

  @inline(__always)
  func rows(of tile: Int) -> Int { tile < tall ? rows : rows - 1 }
}

/// Rows of the tiles that take so many rows in stripes, each line being read and widened once for all of them; 0 where they do not.
///
/// `isCostly`: whether widening costs so much that more than two such tiles are better than tiles of six rows.
@inline(__always)
func stripedTile(_ rows: Int, isCostly: Bool) -> Int {
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  if rows <= (isCostly ? LeafTask.rowsPerBlock : 16) {
    return rows % 8 == 0 ? 8 : rows % 7 == 0 ? 7 : 0
  }
  #endif
  return 0
}

/// Whether this instruction set has dot products of bf16 pairs.
@inline(__always)
var hasPairDots: Bool {
  #if KERNELS_AVX512BF16
  return true
  #else
  return false
  #endif
}
