import CKernelShim
import KernelTable

/// A page as the tiles of an entry read it: as stored, or keys or values widened to f32.
struct PageView {
  var keys: Raw
  var keyElement: StoredElement
  /// Stored rows of the keys, and bytes from one to the next.
  var keyRows: Int
  var keyRowBytes: Int
  var values: Raw
  var valueElement: StoredElement
  /// Whether the page comes from memory and passes by once.
  var streams: Bool
  var ahead = Ahead()
  /// Bytes from the end of the page to the one that comes next; 0 if that follows, as it does within an extent, or is not known.
  var jump = 0
  /// Codes that keys and values are stored in, if any: then elements, rows and bytes above mean nothing.
  var keyCode = PageCode.none
  var valueCode = PageCode.none
  /// By what a tile turns the keys, `[pair][cos: 64 | sin: 64]`, where it does.
  var turns: UnsafePointer<Float>?
}

/// What is asked of memory while something is read, in bytes from there; 0 asks for nothing.
struct Ahead {
  /// Into L1.
  var near = 0
  /// The same part of the page that comes next, into L2; of codes, of the one that `codesAhead` names (see `askCodes`).
  var next = 0
  /// Of how many shares of what is asked for a tile has one: 1, 2 or 4.
  var shares = 1
}

/// Whether the task multiplies bf16 by dot products; otherwise it is widened to f32.
@inline(__always)
func dotsPairs(_ task: UnsafePointer<LeafTask>) -> Bool { hasPairDots && task.pointee.dotsPairs }

/// Whether bf16 is widened in tiles.
@inline(__always)
func widensPairs(_ task: UnsafePointer<LeafTask>) -> Bool {
  !dotsPairs(task) && (task.pointee.keyElement.isBFloat16 || task.pointee.valueElement.isBFloat16)
}

/// Slots of an entry that a query at `position` sees.
@inline(__always)
func visibleSlots(_ entry: LeafEntry, _ position: Int, _ visibility: Visibility) -> SlotRange {
  var low = Int(entry.firstSlot)
  var high = Int(entry.endSlot)
  if visibility.isCausal {
    let end = position - entry.basePosition + 1
    if end < high { high = end }
  }
  if visibility.ahead != .max {
    let end = position + visibility.ahead - entry.basePosition + 1
    if end < high { high = end }
  }
  if visibility.window != .max {
    let start = position - visibility.window + 1 - entry.basePosition
    if start > low { low = start }
  }
  return low < high ? SlotRange(low: low, high: high) : SlotRange(low: 64, high: 0)
}

/// The task's softmax state over its leaf (see `LeafTask`).
func attendLeaf(_ task: UnsafePointer<LeafTask>) {
  let rowCount = task.pointee.rowCount
  let scratch = Scratch(
    task.pointee.scratch, rowCount: rowCount, keyWidth: task.pointee.keyWidth,
    valueWidth: task.pointee.valueWidth)
  var row = 0
  while row < rowCount {
    task.pointee.maxima[row] = -.infinity
    attention_store(scratch.lanes + 16 * row, Vector())
    row += 1
  }
  if task.pointee.slopes != nil { findNearest(task, scratch) }

  let striped = stripedTile(
    rowCount, isCostly: widens(task) || widensPairs(task))
  let tileOfRows = Tiles(rowCount, atMost: largestTile).rows
  if !task.pointee.continues {
    scratch.contents.pointee = ScratchContents()
    boundPositions(task, scratch)
  }
  scratch.contents.pointee.begunRows = 0
  var first = 0
  while first < task.pointee.entryCount {
    let head = task.pointee.entries + first
    let run = head.pointee.run
    let isTurned = head.pointee.slotTurns >= 0
    let isCoded = head.pointee.isCoded
    // Codes of keys meet queries in the order of f16, whatever the plain pages beside them hold.
    let isInOrder = isCoded && !task.pointee.keyCode.isNone
    let widensCodes = isCoded && task.pointee.widensCodes
    let isStriped = striped > 0 && !isCoded
    // Many rows: some pages that stay in L2 while the rows pass, or one that is widened for all of them. As many as a block takes pass over
    // pages as they come from memory where tiles take whole rows.
    let mostFew =
      widens(task) || widensCodes || !takesWholeRows ? 12 : LeafTask.rowsPerBlock
    let isMany = rowCount > mostFew && !isStriped
    let entriesPerPass = isMany && !widens(task) ? 8 : 1
    let tileRows = isStriped ? striped : tileOfRows
    let blockRows = isMany ? rowsOfManyBlocks / largestTile * tileRows : rowCount
    var end = first + 1
    while end < task.pointee.entryCount && end - first < entriesPerPass && !isTurned && !widensCodes
      && task.pointee.entries[end].run == run && task.pointee.entries[end].isCoded == isCoded
    { end += 1 }
    let contents = scratch.contents.pointee
    if run != contents.run || isTurned != contents.asFloats || isInOrder != contents.inOrder {
      prepareRows(task, scratch, Int(run), asFloats: isTurned, inOrder: isInOrder)
      scratch.contents.pointee.run = run
      scratch.contents.pointee.asFloats = isTurned
      scratch.contents.pointee.inOrder = isInOrder
    }
    if !isMany && isCodedRun(task, scratch, first, rowCount) {
      beginRows(task, scratch, rowCount)
      first = attendCodedRun(task, scratch, first, rowCount, tileRows)
      continue
    }
    if isTurned || widensCodes || (isMany && widens(task)) {
      if isSeen(task, head), let page = task.pointee.pages[Int(head.pointee.page)] {
        let view = widenPage(task, scratch, first, Raw(page), isMany)
        row = 0
        while row < rowCount {
          let rows = rowCount - row < blockRows ? rowCount - row : blockRows
          passEntry(task, scratch, head, view, row, rows, Tiles(rows, atMost: tileRows))
          row += rows
        }
      }
    } else {
      row = 0
      while row < rowCount {
        let rows = rowCount - row < blockRows ? rowCount - row : blockRows
        let tiles = Tiles(rows, atMost: tileRows)
        var index = first
        while index < end {
          let entry = task.pointee.entries + index
          if let page = task.pointee.pages[Int(entry.pointee.page)] {
            passEntry(
              task, scratch, entry, entryView(task, index, Raw(page), isMany), row, rows, tiles)
          }
          index += 1
        }
        row += rows
      }
    }
    first = end
    // The entries to come may be cut into other blocks of rows: a block has begun whole or not at all.
    beginRows(task, scratch, rowCount)
  }
  // Without an entry, none has begun.
  beginRows(task, scratch, rowCount)

  row = 0
  while row < rowCount {
    task.pointee.denominators[row] = attention_sum(attention_load(scratch.lanes + 16 * row))
    if let slopes = task.pointee.slopes {
      let token = row / task.pointee.group
      // What was left out of every bias of the row in this leaf.
      let left = slopes[row - token * task.pointee.group] * log2e * scratch.nearest[token]
      task.pointee.maxima[row] -= left
      moveMasses(task, row, -left)
    }
    row += 1
  }
}

/// Sets the outputs of all rows before `end` to zero that have none yet.
@inline(__always)
func beginRows(_ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ end: Int) {
  let begun = scratch.contents.pointee.begunRows
  guard begun < end else { return }
  let stride = task.pointee.outputStride
  let outputs = task.pointee.outputs + begun * stride
  var channel = 0
  while channel < (end - begun) * stride {
    attention_store(outputs + channel, Vector())
    channel += 16
  }
  scratch.contents.pointee.begunRows = end
}

/// A block of rows over one entry: scores, softmax, outputs, each tile by tile.
@inline(never)
func attendEntry(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: UnsafePointer<LeafEntry>,
  _ page: PageView, _ firstRow: Int, _ rows: Int, _ tiles: Tiles
) {
  let isWhole = seesAll(task, scratch, entry.pointee, firstRow, rows)
  if isWhole {
    while scratch.contents.pointee.wholeRows < rows {
      scratch.seen[scratch.contents.pointee.wholeRows] = SlotRange(low: 0, high: 64)
      scratch.contents.pointee.wholeRows += 1
    }
  } else {
    scratch.contents.pointee.wholeRows = 0
    guard findSeen(task, scratch, entry.pointee, firstRow, rows) else { return }
  }
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  if isWhole && overlaps(task, page, tiles) {
    var tiles = tiles
    // The outputs of a block that has none yet begin with this entry's.
    let adds = firstRow < scratch.contents.pointee.begunRows
    if !adds {
      beginRows(task, scratch, firstRow)
      scratch.contents.pointee.begunRows = firstRow + rows
    }
    attendOverlapped(task, scratch, entry, page, firstRow, &tiles, adds)
    return
  }
  #endif
  beginRows(task, scratch, firstRow + rows)
  if let turns = page.turns {
    computeTurnedScores(task, scratch, page, firstRow, rows, turns)
  } else if page.keyCode.isNone {
    computeScores(task, scratch, page, firstRow, tiles)
  } else {
    computeCodedScores(task, scratch, page, firstRow, rows, tiles.rows)
  }
  finishAllScores(task, scratch, entry, firstRow, 0, rows)
  if !page.valueCode.isNone {
    addCoded(task, scratch, page, firstRow, rows, tiles.rows)
    return
  }
  advanceRows(task, scratch, page, firstRow, 0, rows, isWhole)
  if isWhole {
    addSlots(
      task, scratch, page, firstRow, 0, tiles, 0, page.valueElement.isBFloat16 ? 32 : 64, page.ahead
    )
  } else {
    var tile = 0
    var row = 0
    while tile < tiles.count {
      let own = tiles.rows(of: tile)
      accumulate(
        task, scratch, page, firstRow, row, own,
        asks(page, tile, tiles) ? page.ahead : Ahead())
      row += own
      tile += 1
    }
  }
}

/// Notes between which positions the task's query tokens stand.
@inline(__always)
func boundPositions(_ task: UnsafePointer<LeafTask>, _ scratch: Scratch) {
  var token = 0
  while token < task.pointee.rowCount / task.pointee.group {
    let position = task.pointee.positions[token]
    if position < scratch.contents.pointee.lowest { scratch.contents.pointee.lowest = position }
    if position > scratch.contents.pointee.highest { scratch.contents.pointee.highest = position }
    token += 1
  }
}

/// Whether a query at `position` sees all slots of an entry.
@inline(__always)
func seesAll(_ task: UnsafePointer<LeafTask>, _ entry: LeafEntry, _ position: Int) -> Bool {
  let slots = visibleSlots(entry, position, task.pointee.visibility)
  return slots.low == 0 && slots.high == 64
}

/// Whether all rows of a block see all slots of an entry.
@inline(__always)
func seesAll(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: LeafEntry, _ firstRow: Int,
  _ rows: Int
) -> Bool {
  if entry.firstSlot > 0 || entry.endSlot < 64 || task.pointee.hiddenRows != nil { return false }
  // Both ends of what a query sees rise with its position.
  let contents = scratch.contents.pointee
  if seesAll(task, entry, contents.lowest) && seesAll(task, entry, contents.highest) { return true }
  var token = firstRow / task.pointee.group
  let last = (firstRow + rows - 1) / task.pointee.group
  while token <= last {
    if !seesAll(task, entry, task.pointee.positions[token]) { return false }
    token += 1
  }
  return true
}

/// Writes down what each row of a block sees of an entry; false if none sees anything.
@inline(__always)
func findSeen(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: LeafEntry, _ firstRow: Int,
  _ rows: Int
) -> Bool {
  var anyone = false
  var row = 0
  var token = firstRow / task.pointee.group
  // Rows of the block up to the next token's.
  var end = (token + 1) * task.pointee.group - firstRow
  while row < rows {
    let slots = visibleSlots(entry, task.pointee.positions[token], task.pointee.visibility)
    while row < rows && row < end {
      var own = slots
      if let hidden = task.pointee.hiddenRows, hidden[firstRow + row] != 0 {
        own = SlotRange(low: 64, high: 0)
      }
      scratch.seen[row] = own
      if own.low < own.high { anyone = true }
      row += 1
    }
    token += 1
    end += task.pointee.group
  }
  return anyone
}

/// scores = queries × keys, in blocks of keys that stay in L1 while several tiles pass.
@inline(__always)
func computeScores(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ tiles: Tiles
) {
  let leftBytes = page.keyElement.isBFloat16 && !dotsPairs(task) ? 8 : 4
  let blockRows =
    passesOften(tiles) ? blockBytes(page) / page.keyRowBytes : page.keyRows
  var done = 0
  while done < page.keyRows {
    let count = page.keyRows - done < blockRows ? page.keyRows - done : blockRows
    var tile = 0
    var row = 0
    while tile < tiles.count {
      let own = tiles.rows(of: tile)
      multiply(
        Product(
          rows: own,
          left: Raw(scratch.queries) + (firstRow + row) * scratch.queryRowBytes + done * leftBytes,
          leftRowBytes: scratch.queryRowBytes, right: page.keys + done * page.keyRowBytes,
          rightRowBytes: page.keyRowBytes, count: count, groupCount: 4,
          result: scratch.scores + 64 * row, resultStride: 64, streams: page.streams,
          // Keys that have been widened lie in cache.
          ahead: page.keys != Raw(scratch.keys)
            ? requests(page, page.ahead, tile, tiles, count * page.keyRowBytes) : Ahead(),
          dotsPairs: dotsPairs(task)),
        page.keyElement, adds: done > 0)
      row += own
      tile += 1
    }
    done += count
  }
}

/// Whether a tile of the block is the one that asks memory for more where tiles do not share that (`requests`): the first
/// one over a page that comes from there, the last one over a page in L2, of which the next 16 KiB are wanted next.
@inline(__always)
func asks(_ page: PageView, _ tile: Int, _ tiles: Tiles) -> Bool {
  tile == (page.streams ? 0 : tiles.count - 1)
}

/// What a tile of the block asks for while it passes over `bytes` of a page.
///
/// Over a page that comes from memory each of several tiles asks for its share: all of it under the first one is more than
/// memory answers meanwhile.
@inline(__always)
func requests(
  _ page: PageView, _ ahead: Ahead, _ tile: Int, _ tiles: Tiles, _ bytes: Int
) -> Ahead {
  let isShared = page.streams && takesWholeRows && tiles.count > 1 && ahead.near != 0
  guard isShared else { return asks(page, tile, tiles) ? ahead : Ahead() }
  var own = ahead
  // Three tiles leave it to two of them.
  own.shares = tiles.count <= 3 ? 2 : 4
  guard tile < own.shares else { return Ahead() }
  let offset = bytes / own.shares * tile
  own.near += offset
  if own.next != 0 { own.next += offset }
  return own
}

/// Whether a page is passed over more than once: by several tiles, or by the stripes of a tile of seven or eight rows.
@inline(__always)
func passesOften(_ tiles: Tiles) -> Bool {
  tiles.count > 1 || tiles.rows > largestTile
}

/// Bytes of a page that several tiles pass over before the next ones come: what stays in L1, but of a page that comes from
/// memory little enough for what is asked for meanwhile to arrive, and up to 16 KiB no less than how far tiles ask.
@inline(__always)
func blockBytes(_ page: PageView) -> Int {
  page.streams ? max(4096, min(16_384, page.ahead.near)) : 16_384
}

/// Scores become probabilities, in some rows of a block from `start` on; maxima, denominators and outputs are advanced.
@inline(__always)
func advanceRows(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ start: Int, _ rows: Int, _ isWhole: Bool
) {
  let rounded =
    dotsPairs(task) && page.valueElement.isBFloat16 ? scratch.rounded : nil
  if !isWhole || page.ahead.next != 0 {
    var row = start
    while row < start + rows {
      let at = firstRow + row
      let stride = task.pointee.outputStride
      if page.ahead.next != 0 { askSkipped(task, scratch, page, row, rows) }
      advance(
        scratch.scores + 64 * row, scratch.seen[row], task.pointee.maxima + at,
        scratch.lanes + 16 * at, task.pointee.outputs + at * stride, stride,
        rounded == nil ? nil : scratch.rounded + 64 * row)
      row += 1
    }
  } else if let rounded {
    advanceWhole(task, scratch, firstRow, start, rows, rounded)
  } else {
    advanceWhole(task, scratch, firstRow, start, rows, nil)
  }
}

/// `advanceRows` for rows that see all of an entry, with nothing but that in the loop.
@inline(__always)
func advanceWhole(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ firstRow: Int, _ start: Int, _ rows: Int,
  _ rounded: UnsafeMutablePointer<UInt16>?
) {
  let stride = task.pointee.outputStride
  let outputs = task.pointee.outputs + firstRow * stride
  let maxima = task.pointee.maxima + firstRow
  let lanes = scratch.lanes + 16 * firstRow
  var row = start
  while row < start + rows {
    var target: UnsafeMutablePointer<UInt16>?
    if let rounded { target = rounded + 64 * row }
    advance(
      scratch.scores + 64 * row, SlotRange(low: 0, high: 64), maxima + row, lanes + 16 * row,
      outputs + row * stride, stride, target)
    row += 1
  }
}

/// outputs += probabilities × V for one tile: slots that all of its rows see together, each row's ragged rest by
/// itself.
///
/// Every (row, channel) sums its slots in ascending order, whatever the tile, so neither the bits of a row
/// nor what leaks into it depend on its neighbours.
@inline(never)
func accumulate(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ tile: Int, _ rows: Int, _ ahead: Ahead
) {
  var common = SlotRange(low: 0, high: 64)
  var row = tile
  while row < tile + rows {
    if scratch.seen[row].low > common.low { common.low = scratch.seen[row].low }
    if scratch.seen[row].high < common.high { common.high = scratch.seen[row].high }
    row += 1
  }
  if page.valueElement.isBFloat16 {
    // In slot pairs: the tile takes whole pairs that everybody sees.
    let low = (common.low + 1) / 2
    let high = common.high / 2
    let isShared = low < high
    row = tile
    while row < tile + rows {
      let own = scratch.seen[row]
      let end = isShared ? min(own.high, 2 * low) : own.high
      if own.low < end { addPairs(task, scratch, page, firstRow, row, own.low, end) }
      row += 1
    }
    if isShared {
      addSlots(task, scratch, page, firstRow, tile, Tiles(one: rows), low, high, ahead)
      row = tile
      while row < tile + rows {
        let own = scratch.seen[row]
        if own.high > 2 * high {
          addPairs(task, scratch, page, firstRow, row, max(own.low, 2 * high), own.high)
        }
        row += 1
      }
    }
    return
  }
  let isShared = common.low < common.high
  row = tile
  while row < tile + rows {
    let own = scratch.seen[row]
    let end = isShared ? common.low : own.high
    if own.low < end {
      addSlots(task, scratch, page, firstRow, row, Tiles(one: 1), own.low, end, Ahead())
    }
    row += 1
  }
  if isShared {
    addSlots(
      task, scratch, page, firstRow, tile, Tiles(one: rows), common.low, common.high, ahead)
    row = tile
    while row < tile + rows {
      let own = scratch.seen[row]
      if own.high > common.high {
        addSlots(task, scratch, page, firstRow, row, Tiles(one: 1), common.high, own.high, Ahead())
      }
      row += 1
    }
  }
}

/// outputs[row…] += probabilities × V over the stored rows `low..<high` (slots, or slot pairs for bf16), in tiles
/// from the row `start` of the block on; a panel of V stays in L1 while the tiles pass.
@inline(never)
func addSlots(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ start: Int, _ tiles: Tiles, _ low: Int, _ high: Int, _ ahead: Ahead
) {
  let element = page.valueElement
  let isPaired = element.isBFloat16
  let bytes = element.isFloat16 ? 2 : 4
  let isRounded = isPaired && dotsPairs(task)
  let leftRowBytes = isRounded ? 128 : 256
  let left = isRounded ? Raw(scratch.rounded) : Raw(scratch.scores)
  let leftBytes = isPaired && !isRounded ? 8 : 4
  let stored = isPaired ? 32 : 64
  let padded = task.pointee.outputStride
  let pageEnd = page.values + 64 * padded * (isPaired ? 2 : bytes)
  var panel = page.values
  var channel = 0
  while channel < padded {
    let width = padded - channel < 64 ? padded - channel : 64
    // What is asked for near the end of the page lies in the next one.
    let jumps = page.jump != 0 && ahead.near != 0
    let blockRows =
      page.streams && (passesOften(tiles) || jumps)
      ? blockBytes(page) / (width * bytes) : stored
    var done = low
    while done < high {
      var count = high - done < blockRows ? high - done : blockRows
      var asked = ahead
      if jumps {
        // A block ends where what is asked for begins to lie there.
        let before = pageEnd - (panel + done * width * bytes) - ahead.near
        if before <= 0 {
          asked.near += page.jump
        } else if before < count * width * bytes {
          count = (before + width * bytes - 1) / (width * bytes)
        }
      }
      var tile = 0
      var row = start
      while tile < tiles.count {
        let own = tiles.rows(of: tile)
        multiply(
          Product(
            rows: own,
            left: left + done * leftBytes + row * leftRowBytes, leftRowBytes: leftRowBytes,
            right: panel + done * width * bytes, rightRowBytes: width * bytes, count: count,
            groupCount: width / 16,
            result: task.pointee.outputs + (firstRow + row) * padded + channel,
            resultStride: padded, streams: page.streams,
            ahead: requests(page, asked, tile, tiles, count * width * bytes),
            dotsPairs: isRounded),
          element, adds: true)
        row += own
        tile += 1
      }
      done += count
    }
    panel += stored * width * bytes
    channel += width
  }
}

/// One row over the slots `low..<high` of bf16 slot pairs, where the first and last pair may be cut.
///
/// The half of a cut pair that the row does not see is masked to zero on load, and its probability is zero.
@inline(__always)
func addPairs(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ firstRow: Int,
  _ row: Int, _ low: Int, _ high: Int
) {
  var slot = low
  if slot & 1 == 1 {
    addCutPair(task, scratch, page.values, firstRow, row, slot / 2, 0xffff_0000)
    slot += 1
  }
  let whole = high & ~1
  if slot < whole {
    addSlots(task, scratch, page, firstRow, row, Tiles(one: 1), slot / 2, whole / 2, Ahead())
    slot = whole
  }
  if slot < high { addCutPair(task, scratch, page.values, firstRow, row, slot / 2, 0x0000_ffff) }
}

@inline(never)
func addCutPair(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ values: Raw, _ firstRow: Int,
  _ row: Int, _ pair: Int, _ mask: UInt32
) {
  let padded = task.pointee.outputStride
  let output = task.pointee.outputs + (firstRow + row) * padded
  var panel = values
  var channel = 0
  while channel < padded {
    let width = padded - channel < 64 ? padded - channel : 64
    var at = 0
    while at < width {
      let pairs = attention_mask_pairs(
        attention_load_pairs(panel + (pair * width + at) * 4), mask)
      let sum = attention_load(output + channel + at)
      let factor = scratch.scores + 64 * row + 2 * pair
      var result = sum
      if dotsPairs(task) {
        #if KERNELS_AVX512BF16
        result = attention_dot_pairs(
          sum, attention_splat_pair(scratch.rounded + 64 * row + 2 * pair), pairs)
        #endif
      } else {
        result = attention_fma(
          attention_splat(factor[0]), attention_first_of_pairs(pairs), result)
        result = attention_fma(
          attention_splat(factor[1]), attention_second_of_pairs(pairs), result)
      }
      attention_store(output + channel + at, result)
      at += 16
    }
    panel += 32 * width * 4
    channel += width
  }
}

/// For every query token, the distance to its nearest visible slot of the leaf; 0 where it sees none.
@inline(never)
func findNearest(_ task: UnsafePointer<LeafTask>, _ scratch: Scratch) {
  var token = 0
  while token < task.pointee.rowCount / task.pointee.group {
    let position = task.pointee.positions[token]
    var nearest = Int.max
    var index = 0
    while index < task.pointee.entryCount {
      let entry = task.pointee.entries[index]
      let slots = visibleSlots(entry, position, task.pointee.visibility)
      if slots.low < slots.high {
        let first = entry.basePosition + slots.low
        let last = entry.basePosition + slots.high - 1
        let distance = position < first ? first - position : position > last ? position - last : 0
        if distance < nearest { nearest = distance }
      }
      index += 1
    }
    scratch.nearest[token] = nearest == .max ? 0 : Float(nearest)
    token += 1
  }
}

/// Asks for a share of the stored rows that tiles leave out (`askedRows`).
@inline(__always)
func askSkipped(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ page: PageView, _ share: Int, _ shares: Int
) {
  var row = askedRows - 1 + share * askedRows
  while row < page.keyRows && page.keys != Raw(scratch.keys) && page.turns == nil
    && page.keyCode.isNone
  {
    askFar(page.keys + page.ahead.next + row * page.keyRowBytes, page.keyRowBytes)
    row += shares * askedRows
  }
  let isPaired = page.valueElement.isBFloat16
  let rowBytes = page.valueElement.isFloat16 ? 128 : 256
  let rows = task.pointee.outputStride / 64 * (isPaired ? 32 : 64)
  row = askedRows - 1 + share * askedRows
  while row < rows {
    askFar(page.values + page.ahead.next + row * rowBytes, rowBytes)
    row += shares * askedRows
  }
}
