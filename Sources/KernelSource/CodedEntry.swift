import CKernelShim
import KernelTable

// SAFETY: pointers from end to end, as in Tiles.swift.

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

/// What is the same for the quantised keys of all entries.
struct CodedKeys {
  var code: PageCode
  /// Channels, in whole sixteens.
  var width: Int
  /// Stored rows of a panel.
  var count: Int
  /// Bytes of a row of factors.
  var rowBytes: Int
  /// The largest factor.
  var top: Float
  /// Rows of a tile.
  var tile: Int
  var asks: CodedAsks
  var near: Int

  @inline(__always)
  init(_ task: UnsafePointer<LeafTask>, _ page: PageView, _ rows: Int, _ tileRows: Int) {
    code = page.keyCode
    let channels = task.pointee.keyWidth
    width = (channels + 15) / 16 * 16
    count = (channels + rowsPerLane(code) - 1) / rowsPerLane(code)
    rowBytes = width / 16 * factorBytes(code)
    // Sums of this many products stay within 32 bits.
    let fitting = 2_130_000_000 / largestCode(code)
    let isFitting = largestFactor(code) * Float(channels) <= fitting
    top = isFitting ? largestFactor(code) : fitting / Float(channels)
    tile = codedTileRows(tileRows)
    asks = CodedAsks(tiles: codedTileCount(rows, tile))
    near = nearOfCodes(task, page)
  }
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
  let keys = CodedKeys(task, page, rows, tileRows)
  scaleQueries(scratch, keys, page, firstRow, rows)
  multiplyKeys(scratch, keys, page, rows)
}

/// Queries become factors of a page's codes.
@inline(__always)
func scaleQueries(
  _ scratch: Scratch, _ keys: CodedKeys, _ page: PageView, _ firstRow: Int, _ rows: Int
) {
  let codeBytes = keys.count * (keys.code.isInt4 ? 128 : 256)
  var row = 0
  while row < rows {
    let scaling = QueryScaling(
      queries: scratch.queries + (firstRow + row) * scratch.queryRowBytes,
      queryRowBytes: scratch.queryRowBytes, factors: page.keys,
      factorStep: 4 * keys.width + codeBytes, width: keys.width, code: keys.code, top: keys.top,
      scaled: scratch.scaled, result: scratch.keyFactors + row * keys.rowBytes,
      resultRowBytes: keys.rowBytes, rowScales: scratch.keyScales + row,
      rowShifts: scratch.keyShifts + row, asked: page.keys + page.ahead.next,
      asks: page.ahead.next != 0 && row == 0, asksTwice: keys.near != 0)
    row += scaleQueries(scaling, rows - row)
  }
}

/// scores = factors × codes.
@inline(__always)
func multiplyKeys(_ scratch: Scratch, _ keys: CodedKeys, _ page: PageView, _ rows: Int) {
  let code = keys.code
  let asks = page.ahead.next != 0
  var asked =
    page.keys + page.ahead.next
    + keys.width / 16 * (firstScalingAsks(code) + laterScalingAsks(code))
  // int4 has scales of its own for slots from 32 on, before their codes.
  let block = code.isInt4 ? LeafTask.rowsPerBlock : 0
  var row = 0
  while row < rows {
    multiplyCoded(
      CodedProduct(
        rows: rows - row < keys.tile ? rows - row : keys.tile,
        left: Raw(scratch.keyFactors) + row * keys.rowBytes, leftRowBytes: keys.rowBytes,
        codes: page.keys + 4 * keys.width, asked: asks ? asked : page.keys, asks: keys.asks,
        near: row == 0 ? keys.near : 0, count: keys.count, gap: code.isInt4 ? 4 * keys.width : 0,
        panelCount: 1, stretchCount: 2,
        leftStep: block * keys.rowBytes, scaleStep: block, shiftStep: block,
        rowScales: scratch.keyScales + row, rowShifts: scratch.keyShifts + row,
        result: scratch.scores + 64 * row, resultStride: 64, isValues: false),
      code)
    asked += keys.asks.count(2 * keys.count) * 128
    row += keys.tile
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
      rowScales: scratch.valueScales + row, rowShifts: scratch.valueShifts + row,
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

/// Worked out anew where a block has another number of rows than the one before; all else that counts is the same while a scratch
/// holds what it holds.
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
