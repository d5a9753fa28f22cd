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

/// A block of rows that meets the codes of one entry after the other.
struct CodedBlock {
  var firstRow: Int
  var rows: Int
  /// Rows of a tile, and how many tiles there are.
  var tileRows: Int
  var tiles: Int
  /// How far tiles ask for their own lines too; 0 if they do not (`CodedProduct.near`).
  var near: Int

  @inline(__always)
  init(_ firstRow: Int, _ rows: Int, _ tileRows: Int, near: Int) {
    self.firstRow = firstRow
    self.rows = rows
    self.tileRows = tileRows < largestCodedTile ? tileRows : largestCodedTile
    // Without a division where it is one.
    tiles = rows <= self.tileRows ? 1 : (rows + self.tileRows - 1) / self.tileRows
    self.near = near
  }

  /// Of a single entry.
  @inline(__always)
  init(
    _ task: UnsafePointer<LeafTask>, _ page: PageView, _ firstRow: Int, _ rows: Int, _ tileRows: Int
  ) {
    self.init(
      firstRow, rows, tileRows, near: page.ahead.near == 0 ? 0 : nearOfCodes(task))
  }
}

/// What is done to up to four rows of a block at once, in a function for each number of them.
protocol RowsTogether {
  /// Goes on to later rows.
  mutating func skip(_ rows: Int)
  func advanceOne()
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  func advanceTwo()
  func advanceThree()
  func advanceFour()
  #endif
}

extension RowsTogether {
  @inline(__always)
  func advanceAll(_ rows: Int) {
    var step = self
    var left = rows
    while true {
      let count = step.advance(left)
      left -= count
      if left <= 0 { return }
      step.skip(count)
    }
  }

  /// How many rows it has been.
  @inline(__always)
  func advance(_ rows: Int) -> Int {
    #if KERNELS_AVX512 || KERNELS_AVX512BF16
    switch rows {
    case 1: break
    case 2:
      advanceTwo()
      return 2
    case 3:
      advanceThree()
      return 3
    default:
      advanceFour()
      return 4
    }
    #endif
    advanceOne()
    return 1
  }
}

/// All tiles of a block over a page's keys or values.
struct CodedTiles {
  var block: CodedBlock
  var code: PageCode
  /// For the first rows, all but the addresses in a page, for which the scratch stands in.
  var product: CodedProduct
  /// Bytes of the panels of 32 columns, and whether one of 16 follows.
  var wideBytes: Int
  var hasNarrow: Bool
  /// Bytes of a page to come that one tile asks for over these panels, and over the one of 16.
  var wideAsks: Int
  var narrowAsks: Int

  /// Over panels of as many stored rows in all as `wideSteps`; of a narrow one as `narrowSteps`, if there is one.
  @inline(__always)
  init(
    _ block: CodedBlock, _ code: PageCode, _ product: CodedProduct, wideSteps: Int, narrowSteps: Int
  ) {
    self.block = block
    self.code = code
    self.product = product
    wideBytes = wideSteps * 128
    hasNarrow = narrowSteps > 0
    wideAsks = product.asks.count(wideSteps) * 128
    narrowAsks = product.asks.count(narrowSteps) * 64
  }

  /// `asks` says whether `asked` is to be asked for; elsewhere it is something at hand.
  @inline(__always)
  func multiply(_ codes: Raw, _ asked: Raw, asks: Bool) {
    var p = product
    p.codes = codes
    p.asked = asked
    var left = block.rows
    while true {
      p.rows = left < block.tileRows ? left : block.tileRows
      multiplyCoded(p, code)
      if asks { p.asked += wideAsks }
      if hasNarrow {
        var narrow = p
        narrow.codes += wideBytes
        narrow.result += p.resultStride - 16
        narrow.panelCount = 1
        narrow.isNarrow = true
        multiplyCoded(narrow, code)
        if asks { p.asked += narrowAsks }
      }
      left -= block.tileRows
      if left <= 0 { return }
      p.skip(block.tileRows)
    }
  }
}

/// A block of rows that meets the quantised keys of one entry after the other.
struct CodedKeys {
  var tiles: CodedTiles
  /// As the product of `tiles` is, for the first rows and any page.
  var scaling: QueryScaling
  /// Bytes of the keys to come that the scaling asks for.
  var scalingAsks: Int

  @inline(__always)
  init(_ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ block: CodedBlock) {
    let code = task.pointee.keyCode
    let channels = task.pointee.keyWidth
    let width = (channels + 15) / 16 * 16
    let count = (channels + rowsPerLane(code) - 1) / rowsPerLane(code)
    let rowBytes = width / 16 * factorBytes(code)
    // Sums of this many products stay within 32 bits.
    let fitting = 2_130_000_000 / largestCode(code)
    let isFitting = largestFactor(code) * Float(channels) <= fitting
    scaling = QueryScaling(
      queries: scratch.queries + block.firstRow * scratch.queryRowBytes,
      queryRowBytes: scratch.queryRowBytes, factors: Raw(scratch.queries),
      factorStep: 4 * width + count * (code.isInt4 ? 128 : 256), width: width, code: code,
      top: isFitting ? largestFactor(code) : fitting / Float(channels), scaled: scratch.scaled,
      result: scratch.keyFactors, resultRowBytes: rowBytes, rowScales: scratch.keyScales,
      rowShifts: scratch.keyShifts, asked: Raw(scratch.queries), asks: false,
      asksTwice: block.near != 0)
    // int4 has scales of its own for slots from 32 on, before their codes.
    let groupRows = code.isInt4 ? LeafTask.rowsPerBlock : 0
    let left = Raw(scratch.keyFactors)
    let product = CodedProduct(
      rows: block.tileRows, left: left, leftRowBytes: rowBytes, codes: left, asked: left,
      asks: CodedAsks(tiles: block.tiles), near: block.near, count: count,
      gap: code.isInt4 ? 4 * width : 0, panelCount: 1, stretchCount: 2,
      leftStep: groupRows * rowBytes, scaleStep: groupRows, shiftStep: groupRows,
      rowScales: scratch.keyScales, rowShifts: scratch.keyShifts, result: scratch.scores,
      resultStride: 64, isValues: false)
    tiles = CodedTiles(block, code, product, wideSteps: 2 * count, narrowSteps: 0)
    scalingAsks = width / 16 * (firstScalingAsks(code) + laterScalingAsks(code))
  }

  /// scores = queries × quantised keys, which begin at `keys`; `next` bytes on from there is asked for, if it is not 0.
  ///
  /// q·k = Σ q·zero + Σ (q·scale)·code: the first sum is one constant for each scale group of slots, the factors of the
  /// second become integers again for each group, as large as their kind allows.
  @inline(__always)
  func multiply(_ keys: Raw, _ next: Int) {
    var s = scaling
    s.factors = keys
    s.asked = keys + next
    s.asks = next != 0
    s.advanceAll(tiles.block.rows)
    tiles.multiply(
      keys + 4 * scaling.width, next == 0 ? keys : keys + next + scalingAsks, asks: next != 0)
  }
}

/// A block of rows that meets the quantised values of one entry after the other.
struct CodedValues {
  var tiles: CodedTiles
  /// As the product of `tiles` is, for the first rows and any page.
  var softmax: CodedSoftmax
  /// Bytes of the values to come that the softmax asks for.
  var softmaxAsks: Int

  @inline(__always)
  init(_ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ block: CodedBlock) {
    let code = task.pointee.valueCode
    let columns = task.pointee.outputStride
    let outputs = task.pointee.outputs + block.firstRow * columns
    let stretches = 64 / slotsPerScale(code)
    let count = slotsPerScale(code) / rowsPerLane(code)
    let rowBytes = 4 * factorBytes(code)
    let left = Raw(scratch.probabilityFactors)
    let product = CodedProduct(
      rows: block.tileRows, left: left, leftRowBytes: rowBytes, codes: left, asked: left,
      asks: CodedAsks(tiles: block.tiles), near: block.near, count: count, gap: 0,
      panelCount: columns / 32, stretchCount: stretches, leftStep: rowBytes / stretches,
      scaleStep: 0, shiftStep: LeafTask.rowsPerBlock, rowScales: scratch.valueScales,
      rowShifts: scratch.valueShifts, result: outputs, resultStride: columns, isValues: true)
    // A row of scales and zeros counts like one of codes.
    let steps = stretches * (count + 1)
    let narrowSteps = columns % 32 == 0 ? 0 : steps
    tiles = CodedTiles(
      block, code, product, wideSteps: columns / 32 * steps, narrowSteps: narrowSteps)
    softmaxAsks =
      tiles.wideBytes + narrowSteps * 64 - block.tiles * (tiles.wideAsks + tiles.narrowAsks)
    softmax = CodedSoftmax(
      scores: scratch.scores, seen: scratch.seen, maxima: task.pointee.maxima + block.firstRow,
      lanes: scratch.lanes + 16 * block.firstRow, outputs: outputs, outputStride: columns,
      code: code, target: scratch.probabilityFactors, scales: scratch.valueScales,
      shifts: scratch.valueShifts, laterShifts: scratch.valueShifts + LeafTask.rowsPerBlock,
      asked: left, askEnd: left, askShare: (softmaxAsks / block.rows + 63) / 64 * 64,
      asksTwice: block.near != 0)
  }

  /// Scores become probabilities in integers, relative to the largest score of the page, and outputs += probabilities ×
  /// quantised values, which begin at `values`; `next` bytes on from there is asked for, if it is not 0.
  ///
  /// Slots that a row does not see have a probability of 0, and codes are finite whatever they are: nothing leaks, and sums
  /// of integers do not depend on who else is in the tile.
  @inline(__always)
  func add(_ values: Raw, _ next: Int) {
    var s = softmax
    s.asked = values + next
    s.askEnd = s.asked + (next == 0 ? 0 : softmaxAsks)
    s.advanceAll(tiles.block.rows)
    tiles.multiply(values, next == 0 ? values : values + next + softmaxAsks, asks: next != 0)
  }
}

/// scores = queries × the quantised keys of a single entry.
@inline(never)
func computeCodedScores(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ rows: Int, _ tileRows: Int
) {
  CodedKeys(task, scratch, CodedBlock(task, page, firstRow, rows, tileRows))
    .multiply(page.keys, page.ahead.next)
}

/// Scores become probabilities, outputs += probabilities × the quantised values of a single entry.
@inline(never)
func addCoded(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ rows: Int, _ tileRows: Int
) {
  CodedValues(task, scratch, CodedBlock(task, page, firstRow, rows, tileRows))
    .add(page.values, page.ahead.next)
}
