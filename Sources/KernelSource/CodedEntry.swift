import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Attend.swift.

/// The quantised page as it is stored.
@inline(__always)
func codedView(_ task: UnsafePointer<LeafTask>, _ page: Raw, _ streams: Bool) -> PageView {
  var view = storedView(task, page, streams)
  view.keyCode = task.pointee.keyCode
  view.valueCode = task.pointee.valueCode
  view.values = page + task.pointee.codedValueOffset
  return view
}

/// How far tiles over codes ask a second time, for lines soon to come; 0 if they do not.
@inline(__always)
func nearOfCodes(_ task: UnsafePointer<LeafTask>, _ page: PageView) -> Int {
  task.pointee.asksNextPage ? page.ahead.near : 0
}

/// Rows of a tile over codes.
@inline(__always)
func codedTileRows(_ tileRows: Int) -> Int {
  tileRows < largestCodedTile ? tileRows : largestCodedTile
}

/// Tiles that take so many rows; without a division where it is one.
@inline(__always)
func codedTileCount(_ rows: Int, _ tile: Int) -> Int {
  rows <= tile ? 1 : (rows + tile - 1) / tile
}

/// scores = queries × quantised keys.
///
/// q·k = Σ q·zero + Σ (q·scale)·code: the first sum is one constant for each scale group of slots, the factors of the
/// second become integers again for each group, as large as their kind allows.
@inline(never)
func computeCodedScores(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ rows: Int, _ tileRows: Int
) {
  let code = page.keyCode
  let width = task.pointee.keyWidth
  let padded = (width + 15) / 16 * 16
  let perLane = rowsPerLane(code)
  let count = (width + perLane - 1) / perLane
  let rowBytes = padded / 16 * factorBytes(code)
  let tile = codedTileRows(tileRows)
  // Sums of this many products stay within 32 bits.
  let fitting = 2_130_000_000 / largestCode(code)
  let isFitting = largestFactor(code) * Float(width) <= fitting
  let top = isFitting ? largestFactor(code) : fitting / Float(width)
  let codeBytes = count * (code.isInt4 ? 128 : 256)
  let asks = page.ahead.next != 0
  let near = nearOfCodes(task, page)
  var asked = page.keys + page.ahead.next
  let tileAsks = CodedAsks(tiles: codedTileCount(rows, tile))
  var row = 0
  while row < rows {
    let scaling = QueryScaling(
      queries: scratch.queries + (firstRow + row) * scratch.queryRowBytes,
      queryRowBytes: scratch.queryRowBytes, factors: page.keys, factorStep: 4 * padded + codeBytes,
      width: padded, code: code, top: top, scaled: scratch.scaled,
      result: scratch.keyFactors + row * rowBytes, resultRowBytes: rowBytes,
      rowScales: scratch.rowScales + row, rowShifts: scratch.rowShifts + row, asked: asked,
      asks: asks && row == 0, asksTwice: near != 0)
    row += scaleQueries(scaling, rows - row)
  }
  asked += padded / 16 * (firstScalingAsks(code) + laterScalingAsks(code))
  // int4 has scales of its own for slots from 32 on, before their codes.
  let block = code.isInt4 ? LeafTask.rowsPerBlock : 0
  row = 0
  while row < rows {
    multiplyCoded(
      CodedProduct(
        rows: rows - row < tile ? rows - row : tile,
        left: Raw(scratch.keyFactors) + row * rowBytes, leftRowBytes: rowBytes,
        codes: page.keys + 4 * padded, asked: asks ? asked : page.keys, asks: tileAsks,
        near: row == 0 ? near : 0, count: count, gap: code.isInt4 ? 4 * padded : 0,
        panelCount: 1, stretchCount: 2,
        leftStep: block * rowBytes, scaleStep: block, shiftStep: block,
        rowScales: scratch.rowScales + row, rowShifts: scratch.rowShifts + row,
        result: scratch.scores + 64 * row, resultStride: 64, isValues: false),
      code)
    asked += tileAsks.count(2 * count) * 128
    row += tile
  }
}

/// outputs += probabilities × quantised values.
///
/// Slots that a row does not see have a probability of 0, and codes are finite whatever they are: nothing leaks, and sums
/// of integers do not depend on who else is in the tile.
@inline(never)
func addCoded(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ rows: Int, _ tileRows: Int
) {
  let code = page.valueCode
  let padded = task.pointee.outputStride
  let rowBytes = 4 * factorBytes(code)
  let count = slotsPerScale(code) / rowsPerLane(code)
  let tile = codedTileRows(tileRows)
  let stretches = 64 / slotsPerScale(code)
  let asks = page.ahead.next != 0
  let near = nearOfCodes(task, page)
  let tileAsks = CodedAsks(tiles: codedTileCount(rows, tile))
  var asked = page.values + page.ahead.next
  if asks { asked += earlyValues(task, scratch, code, rows, tile).bytes }
  let steps = stretches * (count + 1)
  let wideSteps = padded / 32 * steps
  var row = 0
  while row < rows {
    var product = CodedProduct(
      rows: rows - row < tile ? rows - row : tile,
      left: Raw(scratch.probabilityFactors) + row * rowBytes, leftRowBytes: rowBytes,
      codes: page.values, asked: asks ? asked : page.values, asks: tileAsks,
      near: row == 0 ? near : 0, count: count, gap: 0, panelCount: padded / 32,
      stretchCount: stretches, leftStep: rowBytes / stretches, scaleStep: 0,
      shiftStep: LeafTask.rowsPerBlock,
      rowScales: scratch.rowScales + row, rowShifts: scratch.rowShifts + row,
      result: task.pointee.outputs + (firstRow + row) * padded, resultStride: padded,
      isValues: true)
    multiplyCoded(product, code)
    asked += tileAsks.count(wideSteps) * 128
    if padded % 32 != 0 {
      product.codes += wideSteps * 128
      product.asked = asks ? asked : page.values
      product.result += padded - 16
      product.panelCount = 1
      product.isNarrow = true
      multiplyCoded(product, code)
      asked += tileAsks.count(steps) * 64
    }
    row += tile
  }
}

/// What of the values to come tiles do not ask for: it is asked for first, while scores become probabilities.
struct EarlyValues {
  /// Rows of the block, 0 for none yet.
  var rows = 0
  var bytes = 0
  /// In whole lines, with each row.
  var share = 0
}

/// Worked out once for the blocks of a leaf that have so many rows.
@inline(__always)
func earlyValues(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ code: PageCode, _ rows: Int, _ tile: Int
) -> EarlyValues {
  if scratch.contents.pointee.early.rows != rows {
    let bytes = earlyValueBytes(task, code, rows, tile)
    scratch.contents.pointee.early = EarlyValues(
      rows: rows, bytes: bytes, share: (bytes / rows + 63) / 64 * 64)
  }
  return scratch.contents.pointee.early
}

@inline(never)
func earlyValueBytes(
  _ task: UnsafePointer<LeafTask>, _ code: PageCode, _ rows: Int, _ tile: Int
) -> Int {
  let columns = task.pointee.outputStride
  let stretches = 64 / slotsPerScale(code)
  let steps = stretches * (slotsPerScale(code) / rowsPerLane(code) + 1)
  let tiles = codedTileCount(rows, tile)
  let asks = CodedAsks(tiles: tiles)
  let narrow = columns % 32 == 0 ? 0 : (steps - tiles * asks.count(steps)) * 64
  let wide = columns / 32 * steps
  return narrow + (wide - tiles * asks.count(wide)) * 128
}
