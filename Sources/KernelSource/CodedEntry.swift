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
  _ rows: Int, _ tileRows: Int, _ asksAhead: Bool
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
  var panel = 0
  while panel < 2 {
    if panel == 0 || code.isInt4 {
      if asksAhead { askAhead(at, 4 * padded) }
      widenHalves(at, padded, scratch.channelScales)
      widenHalves(at + 2 * padded, padded, scratch.channelZeros)
      at += 4 * padded
      var row = 0
      while row < rows {
        scaleQuery(
          scratch,
          (scratch.queries + (firstRow + row) * scratch.queryRowBytes)
            .assumingMemoryBound(to: Float.self), padded, code, top, row,
          scratch.keyFactors + row * rowBytes)
        row += 1
      }
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
          asksAhead: asksAhead && row == 0),
        code)
      row += tile
    }
    at += count * 128
    panel += 1
  }
}

/// A query times the scales of the channels, as integers; what one of them stands for, and Σ q·zero.
///
/// A query that is not finite makes the sum, and so all of its scores, NaN.
@inline(__always)
func scaleQuery(
  _ scratch: Scratch, _ query: Floats, _ padded: Int, _ code: PageCode, _ top: Float, _ row: Int,
  _ target: UnsafeMutableRawPointer
) {
  var largest = Vector()
  var constant = Vector()
  var channel = 0
  while channel < padded {
    let q = attention_load(query + channel)
    let scaled = attention_multiply(q, attention_load(scratch.channelScales + channel))
    attention_store(scratch.row + channel, scaled)
    largest = attention_maximum(largest, attention_magnitude(scaled))
    constant = attention_fma(q, attention_load(scratch.channelZeros + channel), constant)
    channel += 16
  }
  let most = attention_largest(largest)
  // Where an inverse might overflow the codes weigh nothing.
  let inverse = most < 0x1p-100 ? 0 : top / most
  scratch.rowScales[row] = most < 0x1p-100 ? 0 : most / top
  scratch.rowShifts[row] = most < .infinity ? attention_sum(constant) : .nan
  let inverses = attention_splat(inverse)
  var to = target
  channel = 0
  while channel < padded {
    storeFactors(
      to,
      attention_round_to_integers(
        attention_multiply(attention_load(scratch.row + channel), inverses)), code)
    to += factorBytes(code)
    channel += 16
  }
}

/// Scores become probabilities in integers, relative to the largest score of the page; maxima, denominators and outputs
/// are advanced.
@inline(__always)
func advanceCodedRows(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ code: PageCode, _ firstRow: Int,
  _ rows: Int
) {
  let stride = task.pointee.outputStride
  let rowBytes = 4 * factorBytes(code)
  var row = 0
  while row < rows {
    let at = firstRow + row
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
  _ rows: Int, _ tileRows: Int, _ asksAhead: Bool
) {
  let code = page.valueCode
  let padded = task.pointee.outputStride
  let rowBytes = 4 * factorBytes(code)
  let count = slotsPerScale(code) / rowsPerLane(code)
  let partBytes = rowBytes * slotsPerScale(code) / 64
  let tile = codedTileRows(tileRows)
  var at = page.values
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
            resultStride: padded, isValues: true, asksAhead: asksAhead && row == 0),
          code)
        row += tile
      }
      at += (count + 1) * groups * 64
      first += slotsPerScale(code)
    }
    channel += 16 * groups
  }
}
