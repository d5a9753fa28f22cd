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
func nearOfCodes(_ task: UnsafePointer<LeafTask>) -> Int {
  task.pointee.asksNextPage ? task.pointee.nearAhead : 0
}

/// From a quantised page to what is asked for while it is read, in bytes; 0 asks for nothing.
@inline(__always)
func codesAhead(_ task: UnsafePointer<LeafTask>, _ index: Int, _ page: Raw) -> Int {
  guard task.pointee.nearAhead != 0 else { return 0 }
  askTables(task, index)
  guard let next = pageAhead(task, index + task.pointee.codedPagesAhead) else { return 0 }
  return Raw(next) - page
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

/// A block of rows that meets the quantised keys of one entry after the other.
struct CodedKeys {
  var rows: Int
  /// Rows of a tile.
  var tile: Int
  /// For the first rows, all but the addresses in a page, for which the scratch stands in.
  var scaling: QueryScaling
  var product: CodedProduct
  /// Bytes of the keys to come that the scaling asks for, and that one tile does.
  var scalingAsks: Int
  var tileAsks: Int

  @inline(__always)
  init(
    _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, near: Int, _ firstRow: Int, _ rows: Int,
    _ tileRows: Int
  ) {
    self.rows = rows
    tile = codedTileRows(tileRows)
    let code = task.pointee.keyCode
    let channels = task.pointee.keyWidth
    let width = (channels + 15) / 16 * 16
    let count = (channels + rowsPerLane(code) - 1) / rowsPerLane(code)
    let rowBytes = width / 16 * factorBytes(code)
    // Sums of this many products stay within 32 bits.
    let fitting = 2_130_000_000 / largestCode(code)
    let isFitting = largestFactor(code) * Float(channels) <= fitting
    scaling = QueryScaling(
      queries: scratch.queries + firstRow * scratch.queryRowBytes,
      queryRowBytes: scratch.queryRowBytes, factors: Raw(scratch.queries),
      factorStep: 4 * width + count * (code.isInt4 ? 128 : 256), width: width, code: code,
      top: isFitting ? largestFactor(code) : fitting / Float(channels), scaled: scratch.scaled,
      result: scratch.keyFactors, resultRowBytes: rowBytes, rowScales: scratch.keyScales,
      rowShifts: scratch.keyShifts, asked: Raw(scratch.queries), asks: false, asksTwice: near != 0)
    // int4 has scales of its own for slots from 32 on, before their codes.
    let block = code.isInt4 ? LeafTask.rowsPerBlock : 0
    let asks = CodedAsks(tiles: codedTileCount(rows, tile))
    product = CodedProduct(
      rows: tile, left: Raw(scratch.keyFactors), leftRowBytes: rowBytes,
      codes: Raw(scratch.keyFactors), asked: Raw(scratch.keyFactors), asks: asks, near: near,
      count: count, gap: code.isInt4 ? 4 * width : 0, panelCount: 1, stretchCount: 2,
      leftStep: block * rowBytes, scaleStep: block, shiftStep: block, rowScales: scratch.keyScales,
      rowShifts: scratch.keyShifts, result: scratch.scores, resultStride: 64, isValues: false)
    scalingAsks = width / 16 * (firstScalingAsks(code) + laterScalingAsks(code))
    tileAsks = asks.count(2 * count) * 128
  }

  /// scores = queries × quantised keys, which begin at `keys`; `next` bytes on from there is asked for, if it is not 0.
  ///
  /// q·k = Σ q·zero + Σ (q·scale)·code: the first sum is one constant for each scale group of slots, the factors of the
  /// second become integers again for each group, as large as their kind allows.
  @inline(__always)
  func multiply(_ keys: Raw, _ next: Int) {
    scaleQueries(keys, next)
    var p = product
    p.codes = keys + 4 * scaling.width
    p.asked = next == 0 ? keys : keys + next + scalingAsks
    var left = rows
    while true {
      p.rows = left < tile ? left : tile
      multiplyCoded(p, scaling.code)
      left -= tile
      if left <= 0 { return }
      p.skip(tile)
      if next != 0 { p.asked += tileAsks }
    }
  }

  /// Queries become factors of a page's codes.
  @inline(__always)
  private func scaleQueries(_ keys: Raw, _ next: Int) {
    var s = scaling
    s.factors = keys
    s.asked = keys + next
    s.asks = next != 0
    var left = rows
    while true {
      let count = scaleTogether(s, left)
      left -= count
      if left <= 0 { return }
      s.skip(count)
    }
  }
}

/// A block of rows that meets the quantised values of one entry after the other.
struct CodedValues {
  var rows: Int
  var tile: Int
  /// For the first rows, all but the addresses in a page, for which the scratch stands in.
  var softmax: CodedSoftmax
  var product: CodedProduct
  /// Bytes of the values to come that the softmax asks for, and that one tile does: over panels of 32 columns, and over one of 16.
  var softmaxAsks: Int
  var wideAsks: Int
  var narrowAsks: Int
  /// Bytes of the panels of 32 columns; whether one of 16 follows.
  var wideBytes: Int
  var hasNarrow: Bool

  @inline(__always)
  init(
    _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, near: Int, _ firstRow: Int, _ rows: Int,
    _ tileRows: Int
  ) {
    self.rows = rows
    tile = codedTileRows(tileRows)
    let code = task.pointee.valueCode
    let columns = task.pointee.outputStride
    let stretches = 64 / slotsPerScale(code)
    let count = slotsPerScale(code) / rowsPerLane(code)
    let tiles = codedTileCount(rows, tile)
    let asks = CodedAsks(tiles: tiles)
    // A row of scales and zeros counts like one of codes.
    let steps = stretches * (count + 1)
    let wideSteps = columns / 32 * steps
    hasNarrow = columns % 32 != 0
    wideBytes = wideSteps * 128
    wideAsks = asks.count(wideSteps) * 128
    narrowAsks = hasNarrow ? asks.count(steps) * 64 : 0
    softmaxAsks = wideBytes + (hasNarrow ? steps * 64 : 0) - tiles * (wideAsks + narrowAsks)
    let outputs = task.pointee.outputs + firstRow * columns
    softmax = CodedSoftmax(
      scores: scratch.scores, seen: scratch.seen, maxima: task.pointee.maxima + firstRow,
      lanes: scratch.lanes + 16 * firstRow, outputs: outputs, outputStride: columns, code: code,
      target: scratch.probabilityFactors, scales: scratch.valueScales, shifts: scratch.valueShifts,
      laterShifts: scratch.valueShifts + LeafTask.rowsPerBlock, asked: Raw(scratch.scores),
      askEnd: Raw(scratch.scores), askShare: (softmaxAsks / rows + 63) / 64 * 64,
      asksTwice: near != 0)
    let rowBytes = 4 * factorBytes(code)
    product = CodedProduct(
      rows: tile, left: Raw(scratch.probabilityFactors), leftRowBytes: rowBytes,
      codes: Raw(scratch.probabilityFactors), asked: Raw(scratch.probabilityFactors), asks: asks,
      near: near, count: count, gap: 0, panelCount: columns / 32, stretchCount: stretches,
      leftStep: rowBytes / stretches, scaleStep: 0, shiftStep: LeafTask.rowsPerBlock,
      rowScales: scratch.valueScales, rowShifts: scratch.valueShifts, result: outputs,
      resultStride: columns, isValues: true)
  }

  /// Scores become probabilities in integers, relative to the largest score of the page; maxima, denominators and outputs
  /// are advanced.
  ///
  /// `next` bytes on from the values is asked for, if it is not 0.
  @inline(__always)
  func advance(_ values: Raw, _ next: Int) {
    var s = softmax
    s.asked = values + next
    s.askEnd = s.asked + (next == 0 ? 0 : softmaxAsks)
    var left = rows
    while true {
      let count = advanceTogether(s, left)
      left -= count
      if left <= 0 { return }
      s.skip(count)
    }
  }

  /// outputs += probabilities × quantised values, likewise.
  ///
  /// Slots that a row does not see have a probability of 0, and codes are finite whatever they are: nothing leaks, and sums
  /// of integers do not depend on who else is in the tile.
  @inline(__always)
  func add(_ values: Raw, _ next: Int) {
    var p = product
    p.codes = values
    p.asked = next == 0 ? values : values + next + softmaxAsks
    var left = rows
    while true {
      p.rows = left < tile ? left : tile
      multiplyCoded(p, softmax.code)
      if next != 0 { p.asked += wideAsks }
      if hasNarrow {
        var narrow = p
        narrow.codes += wideBytes
        narrow.result += softmax.outputStride - 16
        narrow.panelCount = 1
        narrow.isNarrow = true
        multiplyCoded(narrow, softmax.code)
        if next != 0 { p.asked += narrowAsks }
      }
      left -= tile
      if left <= 0 { return }
      p.skip(tile)
    }
  }
}

/// scores = queries × the quantised keys of a single entry.
@inline(never)
func computeCodedScores(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ rows: Int, _ tileRows: Int
) {
  let near = page.ahead.near == 0 ? 0 : nearOfCodes(task)
  CodedKeys(task, scratch, near: near, firstRow, rows, tileRows)
    .multiply(page.keys, page.ahead.next)
}

/// Scores become probabilities, outputs += probabilities × the quantised values of a single entry.
@inline(never)
func addCoded(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ rows: Int, _ tileRows: Int
) {
  let near = page.ahead.near == 0 ? 0 : nearOfCodes(task)
  let values = CodedValues(task, scratch, near: near, firstRow, rows, tileRows)
  values.advance(page.values, page.ahead.next)
  values.add(page.values, page.ahead.next)
}
