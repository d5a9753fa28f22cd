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

/// What is asked for while codes are read: the page that comes next, line after line, by whoever is at work.
@inline(__always)
func codedAhead(_ task: UnsafePointer<LeafTask>, _ page: PageView) -> Ahead {
  task.pointee.asksNextPage ? page.ahead : Ahead(next: page.ahead.next)
}

/// Rows of a tile over codes.
@inline(__always)
func codedTileRows(_ tileRows: Int) -> Int {
  tileRows < largestCodedTile ? tileRows : largestCodedTile
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
  let fitting = 2_130_000_000 / (largestCode(code) * Float(width))
  let top = fitting < largestFactor(code) ? fitting : largestFactor(code)
  var at = page.keys
  var asked = codedAhead(task, page)
  let tileAsks = codedTileAsks(count, 2, isValues: false)
  let groupBytes = 4 * padded + count * (code.isInt4 ? 128 : 256)
  let scalingAsks = groupBytes - tileAsks * (code.isInt4 ? 1 : 2)
  let askedBytes = asked.next == 0 ? 0 : (scalingAsks / (padded / 8) + 63) / 64 * 64
  var panel = 0
  while panel < 2 {
    if panel == 0 || code.isInt4 {
      var row = 0
      while row < rows {
        let scaling = QueryScaling(
          queries: scratch.queries + (firstRow + row) * scratch.queryRowBytes,
          queryRowBytes: scratch.queryRowBytes, factors: at, width: padded, code: code, top: top,
          scaled: scratch.scaled, result: scratch.keyFactors + row * rowBytes,
          resultRowBytes: rowBytes, rowScales: scratch.rowScales + row,
          rowShifts: scratch.rowShifts + row, ahead: asked,
          askedBytes: row == 0 ? askedBytes : 0)
        row += scaleQueries(scaling, rows - row)
      }
      at += 4 * padded
      if asked.next != 0 { asked.next += padded / 8 * askedBytes - 4 * padded }
    }
    var row = 0
    while row < rows {
      multiplyCoded(
        CodedProduct(
          rows: rows - row < tile ? rows - row : tile,
          left: Raw(scratch.keyFactors) + row * rowBytes,
          leftRowBytes: rowBytes, codes: at, count: count, groupCount: 2,
          rowScales: scratch.rowScales + row, rowShifts: scratch.rowShifts + row,
          result: scratch.scores + 64 * row + 32 * panel, resultStride: 64, isValues: false,
          ahead: row == 0 ? asked : Ahead()),
        code)
      row += tile
    }
    at += count * 128
    if asked.next != 0 { asked.next += tileAsks - count * 128 }
    panel += 1
  }
}

/// Scores become probabilities in integers, relative to the largest score of the page; maxima, denominators and outputs
/// are advanced.
@inline(__always)
func advanceCodedRows(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ rows: Int
) {
  let code = page.valueCode
  let stride = task.pointee.outputStride
  let rowBytes = 4 * factorBytes(code)
  var row = 0
  while row < rows {
    let at = firstRow + row
    if page.ahead.next != 0 { askEarlyValues(task, page, row, rows) }
    advanceCoded(
      scratch.scores + 64 * row, scratch.seen[row], task.pointee.maxima + at,
      scratch.lanes + 16 * at, task.pointee.outputs + at * stride, stride, code,
      scratch.probabilityFactors + row * rowBytes, scratch.rowScales + row,
      scratch.rowShifts + row, scratch.laterShifts + row)
    row += 1
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
  let partBytes = rowBytes * slotsPerScale(code) / 64
  let tile = codedTileRows(tileRows)
  var at = page.values
  var asked = codedAhead(task, page)
  if asked.next != 0 { asked.next += earlyValueBytes(task, code) }
  var channel = 0
  while channel < padded {
    let groups = padded - channel < 32 ? 1 : 2
    var first = 0
    while first < 64 {
      let isLater = first > 0
      var row = 0
      while row < rows {
        multiplyCoded(
          CodedProduct(
            rows: rows - row < tile ? rows - row : tile,
            left: Raw(scratch.probabilityFactors) + row * rowBytes + (isLater ? partBytes : 0),
            leftRowBytes: rowBytes, codes: at, count: count, groupCount: groups,
            rowScales: scratch.rowScales + row,
            rowShifts: (isLater ? scratch.laterShifts : scratch.rowShifts) + row,
            result: task.pointee.outputs + (firstRow + row) * padded + channel,
            resultStride: padded, isValues: true, ahead: row == 0 ? asked : Ahead()),
          code)
        row += tile
      }
      at += (count + 1) * groups * 64
      if asked.next != 0 {
        asked.next += codedTileAsks(count, groups, isValues: true) - (count + 1) * groups * 64
      }
      first += slotsPerScale(code)
    }
    channel += 16 * groups
  }
}

/// Bytes of the values to come that tiles do not ask for: they are asked for first, while scores become probabilities.
@inline(__always)
func earlyValueBytes(_ task: UnsafePointer<LeafTask>, _ code: PageCode) -> Int {
  let count = slotsPerScale(code) / rowsPerLane(code)
  return task.pointee.outputStride / 16 * (64 / slotsPerScale(code)) * (count / askedCodedRows) * 64
}

/// Asks for one of so many shares of them.
@inline(__always)
func askEarlyValues(
  _ task: UnsafePointer<LeafTask>, _ page: PageView, _ share: Int, _ shares: Int
) {
  let bytes = earlyValueBytes(task, page.valueCode)
  let first = bytes * share / shares / 64 * 64
  askCodes(
    page.values + page.ahead.next + first, bytes * (share + 1) / shares / 64 * 64 - first,
    asksTwice: task.pointee.asksNextPage)
}
