import CKernelShim
import KernelTable

/// Where an `attend` call keeps what it needs beside the task: all in the task's scratch.
struct Scratch {
  /// Prepared query rows, `[row][rowBytes]`.
  var queries: UnsafeMutableRawPointer
  var queryRowBytes: Int
  /// Sixteen partial sums of ℓ for each row.
  var lanes: Floats
  /// Distance of each query token to its nearest visible slot in the leaf, as ALiBi's reference.
  var nearest: Floats
  /// Scores, then probabilities, of a tile: `[6][64]`.
  var scores: Floats
  /// The probabilities in bf16, `[6][64]`.
  var rounded: UnsafeMutablePointer<UInt16>
  /// Two rows of a query under preparation.
  var row: Floats
  var turned: Floats

  @inline(__always)
  init(_ start: UnsafeMutableRawPointer, rowCount: Int, keyWidth: Int) {
    let padded = LeafTask.paddedKeyWidth(keyWidth)
    queries = start
    queryRowBytes = padded * 4
    lanes = (start + rowCount * padded * 4).assumingMemoryBound(to: Float.self)
    nearest = lanes + rowCount * 16
    scores = nearest + (rowCount + 15) / 16 * 16
    rounded = UnsafeMutableRawPointer(scores + 6 * 64).assumingMemoryBound(to: UInt16.self)
    row = UnsafeMutableRawPointer(rounded + 6 * 64).assumingMemoryBound(to: Float.self)
    turned = row + padded
  }
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
  if visibility.window != .max {
    let start = position - visibility.window + 1 - entry.basePosition
    if start > low { low = start }
  }
  return low < high ? SlotRange(low: low, high: high) : SlotRange(low: 64, high: 0)
}

/// The task's softmax state over its leaf (see `LeafTask`).
func attendLeaf(_ task: UnsafePointer<LeafTask>) {
  let rowCount = task.pointee.rowCount
  let stride = task.pointee.outputStride
  let scratch = Scratch(
    task.pointee.scratch, rowCount: rowCount, keyWidth: task.pointee.keyWidth)
  var row = 0
  while row < rowCount {
    task.pointee.maxima[row] = -.infinity
    attention_store(scratch.lanes + 16 * row, Vector())
    var channel = 0
    while channel < stride {
      attention_store(task.pointee.outputs + row * stride + channel, Vector())
      channel += 16
    }
    row += 1
  }
  if task.pointee.slopes != nil { findNearest(task, scratch) }

  // Few rows: each page once, in the order of memory. Many rows: pages that stay in L2 while rows pass.
  let entriesPerPass = rowCount <= 12 ? 1 : 8
  let tileCount = (rowCount + largestTile - 1) / largestTile
  let tileRows = (rowCount + tileCount - 1) / tileCount
  var prepared: Int32 = -1
  var first = 0
  while first < task.pointee.entryCount {
    let run = task.pointee.entries[first].run
    var end = first + 1
    while end < task.pointee.entryCount && end - first < entriesPerPass
      && task.pointee.entries[end].run == run
    { end += 1 }
    if run != prepared {
      prepareRows(task, scratch, Int(run))
      prepared = run
    }
    row = 0
    while row < rowCount {
      let rows = rowCount - row < tileRows ? rowCount - row : tileRows
      var index = first
      while index < end {
        attendEntry(task, scratch, task.pointee.entries + index, row, rows)
        index += 1
      }
      row += rows
    }
    first = end
  }

  row = 0
  while row < rowCount {
    task.pointee.denominators[row] = attention_sum(attention_load(scratch.lanes + 16 * row))
    if let slopes = task.pointee.slopes {
      let token = row / task.pointee.group
      // What was left out of every bias of the row in this leaf.
      task.pointee.maxima[row] -=
        slopes[row - token * task.pointee.group] * log2e * scratch.nearest[token]
    }
    row += 1
  }
}

/// One row tile over one entry: scores, softmax, outputs.
@inline(__always)
func attendEntry(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ entry: UnsafePointer<LeafEntry>,
  _ firstRow: Int, _ rows: Int
) {
  let group = task.pointee.group
  var seen = InlineArray<6, SlotRange>(repeating: SlotRange(low: 64, high: 0))
  var common = SlotRange(low: 0, high: 64)
  var anyone = false
  var row = 0
  while row < rows {
    let token = (firstRow + row) / group
    var slots = visibleSlots(
      entry.pointee, task.pointee.positions[token], task.pointee.visibility)
    if let hidden = task.pointee.hiddenRows, hidden[firstRow + row] != 0 {
      slots = SlotRange(low: 64, high: 0)
    }
    seen[unchecked: row] = slots
    if slots.low > common.low { common.low = slots.low }
    if slots.high < common.high { common.high = slots.high }
    if slots.low < slots.high { anyone = true }
    row += 1
  }
  guard anyone, let page = task.pointee.pages[Int(entry.pointee.page)] else { return }

  let keyIsPaired = task.pointee.keyElement.isBFloat16
  let keyRows = keyIsPaired ? (task.pointee.keyWidth + 1) / 2 : task.pointee.keyWidth
  multiply(
    Product(
      rows: rows, left: Raw(scratch.queries) + firstRow * scratch.queryRowBytes,
      leftRowBytes: scratch.queryRowBytes, right: Raw(page),
      rightRowBytes: task.pointee.keyElement.isFloat16 ? 128 : 256, count: keyRows,
      groupCount: 4, result: scratch.scores, resultStride: 64),
    task.pointee.keyElement, adds: false)

  let rounds = multipliesPairs && task.pointee.valueElement.isBFloat16
  let stride = task.pointee.outputStride
  row = 0
  while row < rows {
    let at = firstRow + row
    let scores = scratch.scores + 64 * row
    if task.pointee.softcap > 0 { cap(scores, task.pointee.softcap) }
    if let slopes = task.pointee.slopes {
      let token = at / group
      addLinearBias(
        scores, slopes[at - token * group] * log2e,
        Float(task.pointee.positions[token] - entry.pointee.basePosition),
        scratch.nearest[token])
    }
    advance(
      scores, seen[unchecked: row], task.pointee.maxima + at, scratch.lanes + 16 * at,
      task.pointee.outputs + at * stride, stride, rounds ? scratch.rounded + 64 * row : nil)
    row += 1
  }
  accumulate(task, scratch, Raw(page) + task.pointee.valueOffset, firstRow, rows, seen, common)
}

/// outputs += probabilities × V: slots that all rows see by the tile, each row's ragged rest by itself.
///
/// Every (row, channel) sums its slots in ascending order, whatever the tile, so neither the bits of a row
/// nor what leaks into it depend on its neighbours.
@inline(__always)
func accumulate(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ values: Raw, _ firstRow: Int,
  _ rows: Int, _ seen: InlineArray<6, SlotRange>, _ common: SlotRange
) {
  let element = task.pointee.valueElement
  if element.isBFloat16 {
    // In slot pairs: the tile takes whole pairs that everybody sees.
    let low = (common.low + 1) / 2
    let high = common.high / 2
    if low < high {
      var row = 0
      while row < rows {
        let own = seen[unchecked: row]
        if own.low < 2 * low {
          addPairs(task, scratch, values, firstRow, row, own.low, min(own.high, 2 * low))
        }
        row += 1
      }
      addSlots(task, scratch, values, firstRow, 0, rows, low, high)
      row = 0
      while row < rows {
        let own = seen[unchecked: row]
        if own.high > 2 * high {
          addPairs(task, scratch, values, firstRow, row, max(own.low, 2 * high), own.high)
        }
        row += 1
      }
    } else {
      var row = 0
      while row < rows {
        let own = seen[unchecked: row]
        if own.low < own.high {
          addPairs(task, scratch, values, firstRow, row, own.low, own.high)
        }
        row += 1
      }
    }
    return
  }
  let isShared = common.low < common.high
  var row = 0
  while row < rows {
    let own = seen[unchecked: row]
    let end = isShared ? common.low : own.high
    if own.low < end { addSlots(task, scratch, values, firstRow, row, 1, own.low, end) }
    row += 1
  }
  if isShared {
    addSlots(task, scratch, values, firstRow, 0, rows, common.low, common.high)
    row = 0
    while row < rows {
      let own = seen[unchecked: row]
      if own.high > common.high {
        addSlots(task, scratch, values, firstRow, row, 1, common.high, own.high)
      }
      row += 1
    }
  }
}

/// outputs[row…] += probabilities × V over the stored rows `low..<high` (slots, or slot pairs for bf16).
@inline(__always)
func addSlots(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ values: Raw, _ firstRow: Int,
  _ row: Int, _ rows: Int, _ low: Int, _ high: Int
) {
  let element = task.pointee.valueElement
  let isPaired = element.isBFloat16
  let bytes = element.isFloat16 ? 2 : 4
  let left: Raw
  let leftRowBytes: Int
  if isPaired && multipliesPairs {
    left = Raw(scratch.rounded) + row * 128 + low * 4
    leftRowBytes = 128
  } else {
    left = Raw(scratch.scores) + row * 256 + low * (isPaired ? 8 : 4)
    leftRowBytes = 256
  }
  let stored = isPaired ? 32 : 64
  let padded = task.pointee.outputStride
  var panel = values
  var channel = 0
  while channel < padded {
    let width = padded - channel < 64 ? padded - channel : 64
    multiply(
      Product(
        rows: rows, left: left, leftRowBytes: leftRowBytes, right: panel + low * width * bytes,
        rightRowBytes: width * bytes, count: high - low, groupCount: width / 16,
        result: task.pointee.outputs + (firstRow + row) * padded + channel, resultStride: padded),
      element, adds: true)
    panel += stored * width * bytes
    channel += width
  }
}

/// One row over the slots `low..<high` of bf16 slot pairs, where the first and last pair may be cut.
///
/// The half of a cut pair that the row does not see is masked to zero on load, and its probability is zero.
@inline(__always)
func addPairs(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ values: Raw, _ firstRow: Int,
  _ row: Int, _ low: Int, _ high: Int
) {
  var slot = low
  if slot & 1 == 1 {
    addCutPair(task, scratch, values, firstRow, row, slot / 2, 0xffff_0000)
    slot += 1
  }
  let whole = high & ~1
  if slot < whole {
    addSlots(task, scratch, values, firstRow, row, 1, slot / 2, whole / 2)
    slot = whole
  }
  if slot < high { addCutPair(task, scratch, values, firstRow, row, slot / 2, 0x0000_ffff) }
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
      #if KERNELS_AVX512BF16
      let factor = attention_splat_pair(scratch.rounded + 64 * row + 2 * pair)
      let result = attention_dot_pairs(sum, factor, pairs)
      #else
      let factor = scratch.scores + 64 * row + 2 * pair
      let half = attention_fma(
        attention_splat(factor[0]), attention_first_of_pairs(pairs), sum)
      let result = attention_fma(
        attention_splat(factor[1]), attention_second_of_pairs(pairs), half)
      #endif
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
