import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Tiles.swift.

#if KERNELS_AVX512 || KERNELS_AVX512BF16
/// Rows of a tile whose scores are known and whose m has followed them: their probabilities are still to be computed.
struct DueRows {
  var rows = 0
  var scores: Floats
  var maxima: Floats
  var lanes: Floats
  /// Where probabilities go that are rounded to bf16.
  var rounded: UnsafeMutablePointer<UInt16>
}

/// Whether `attendOverlapped` takes a block over an entry: tiles of five and six rows over a page as it is stored, or widened to f32, and not over
/// bf16 that is widened in the tile.
///
/// At least three: the probabilities of a tile are computed two products after its scores, and before those of the last scores come the first
/// outputs. Over a page that comes from memory at least four, which share what they ask for (`isFull`), in parts no smaller than elsewhere;
/// of f32 and f16, whose products take twice as long, that gains nothing.
@inline(__always)
func overlaps(_ task: UnsafePointer<LeafTask>, _ page: PageView, _ tiles: Tiles) -> Bool {
  let isPaired = page.keyElement.isBFloat16
  return tiles.count > (page.streams ? 3 : 2) && (!page.streams || isPaired)
    && tiles.rows <= largestTile
    && tiles.rows(of: tiles.count - 1) > 4 && blockBytes(page) == 16_384
    && page.turns == nil && page.keyCode.isNone && page.valueCode.isNone && page.ahead.next == 0
    && page.keyRows & 3 == 0 && task.pointee.outputStride & 63 == 0
    && isPaired == page.valueElement.isBFloat16 && (!isPaired || dotsPairs(task))
}

/// `attendEntry` for a block whose rows see all of an entry: the probabilities of each tile are computed while another tile is multiplied.
///
/// On AMD's Zen 5, multiplications take two of four vector ports, and nearly all that a softmax does beside its own multiply-adds fits the
/// other two (measured: Documentation/Kernels.md; not on other processors). What is computed is what `attendEntry` computes, bit for bit. The scores of a tile
/// are looked at once the next tile is multiplied, so that nothing waits for them. Outputs are added to those there are, or begin with this
/// entry if `adds` is not set: what stands there may then be scaled before it is overwritten, but never enters.
@inline(never)
func attendOverlapped(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: UnsafePointer<LeafEntry>,
  _ page: PageView, _ firstRow: Int, _ tiles: UnsafePointer<Tiles>, _ adds: Bool
) {
  let tiles = tiles.pointee
  var due = DueRows(
    scores: scratch.scores, maxima: task.pointee.maxima, lanes: scratch.lanes,
    rounded: scratch.rounded)
  let isPaired = page.keyElement.isBFloat16
  let queries = Raw(scratch.queries) + firstRow * scratch.queryRowBytes
  // Keys in parts that stay in L1 while the tiles pass, as in `computeScores`.
  var p = Product(
    rows: 0, left: queries, leftRowBytes: scratch.queryRowBytes, right: page.keys,
    rightRowBytes: page.keyRowBytes, count: min(page.keyRows, 16_384 / page.keyRowBytes),
    groupCount: 4, result: scratch.scores, resultStride: 64, streams: page.streams, ahead: Ahead(),
    dotsPairs: isPaired)
  // Keys that have been widened lie in cache.
  let keysAhead = page.keys == Raw(scratch.keys) ? Ahead() : page.ahead
  var done = 0
  while done < page.keyRows {
    p.count = min(p.count, page.keyRows - done)
    p.left = queries + done * 4
    p.result = scratch.scores
    var tile = 0
    while tile < tiles.count {
      p.rows = tiles.rows(of: tile)
      p.ahead = requests(page, keysAhead, tile, tiles, p.count * p.rightRowBytes)
      multiplyOverlapped(p, page.keyElement, done > 0, &due)
      if done + p.count == page.keyRows && tile > 0 {
        follow(task, scratch, entry, page, firstRow, tiles, tile - 1, &due)
      }
      p.left += p.rows * p.leftRowBytes
      p.result += p.rows * p.resultStride
      tile += 1
    }
    done += p.count
    p.right += p.count * p.rightRowBytes
  }

  p.leftRowBytes = isPaired ? 128 : 256
  p.right = page.values
  p.rightRowBytes = page.valueElement.isFloat16 ? 128 : 256
  p.count = isPaired ? 32 : 64
  p.resultStride = task.pointee.outputStride
  let end = p.right + p.resultStride / 64 * p.count * p.rightRowBytes
  var channel = 0
  while channel < p.resultStride {
    var ahead = page.ahead
    // What is asked for beyond the end of the page lies in the next one.
    if ahead.near != 0 && p.right + ahead.near >= end { ahead.near += page.jump }
    p.left = isPaired ? Raw(scratch.rounded) : Raw(scratch.scores)
    p.result = task.pointee.outputs + firstRow * p.resultStride + channel
    var tile = 0
    while tile < tiles.count {
      p.rows = tiles.rows(of: tile)
      p.ahead = requests(page, ahead, tile, tiles, p.count * p.rightRowBytes)
      multiplyOverlapped(p, page.valueElement, adds, &due)
      if channel == 0 && tile == 0 {
        follow(task, scratch, entry, page, firstRow, tiles, tiles.count - 1, &due)
      }
      p.left += p.rows * p.leftRowBytes
      p.result += p.rows * p.resultStride
      tile += 1
    }
    p.right += p.count * p.rightRowBytes
    channel += 64
  }
}

/// Finishes the scores of a tile and lets m follow them, after which its rows are due.
@inline(__always)
func follow(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: UnsafePointer<LeafEntry>,
  _ page: PageView, _ firstRow: Int, _ tiles: Tiles, _ tile: Int, _ due: inout DueRows
) {
  let first = tile * tiles.rows - max(0, tile - tiles.tall)
  due.rows = tiles.rows(of: tile)
  finishAllScores(task, scratch, entry, firstRow, first, due.rows)
  due.scores = scratch.scores + 64 * first
  due.maxima = task.pointee.maxima + firstRow + first
  due.lanes = scratch.lanes + 16 * (firstRow + first)
  due.rounded = scratch.rounded + 64 * first
  // One branch for all rows; not for scores that are NaN, nor for rows without any so far.
  var isBelow: Int32 = 1
  var row = 0
  while row < due.rows {
    isBelow &= attention_all_below(
      highestScores(allScores(due.scores + 64 * row)), due.maxima[row] + maximumSlack)
    row += 1
  }
  if isBelow == 0 && !followRows(task, &due, firstRow + first) {
    advanceRows(task, scratch, page, firstRow, first, due.rows, true)
    due.rows = 0
  }
}

/// Lets m of each row follow its scores; false where a row has none above −∞.
@inline(never)
func followRows(
  _ task: UnsafePointer<LeafTask>, _ due: UnsafePointer<DueRows>, _ firstRow: Int
) -> Bool {
  let due = due.pointee
  let stride = task.pointee.outputStride
  var haveScores = true
  var row = 0
  while row < due.rows {
    follow(
      allScores(due.scores + 64 * row), due.maxima + row, due.lanes + 16 * row,
      task.pointee.outputs + (firstRow + row) * stride, stride)
    if due.maxima[row] == -.infinity { haveScores = false }
    row += 1
  }
  return haveScores
}

/// The probabilities of one of the rows that are due.
@inline(__always)
func weighRow(_ due: DueRows, _ row: Int, rounds: Bool) {
  let scores = due.scores + 64 * row
  weigh(
    scores, allScores(scores), due.maxima[row], due.lanes + 16 * row,
    rounds ? due.rounded + 64 * row : nil)
}

/// `multiplyFull` of five or six rows, which computes what is due, if anything.
@inline(__always)
func multiplyOverlapped(
  _ p: Product, _ element: StoredElement, _ adds: Bool, _ due: inout DueRows
) {
  if due.rows == 0 {
    multiplyFull(p, element, adds)
  } else {
    multiplyWeighing(p, element, adds, &due)
    due.rows = 0
  }
}
#endif
