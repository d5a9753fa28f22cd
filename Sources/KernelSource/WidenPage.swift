import CKernelShim
import KernelTable

/// Whether many rows of the task read keys or values better from f32: the elements are narrower, this processor
/// widens slowly, and the instruction set does not multiply them as they are.
@inline(__always)
func widens(_ task: UnsafePointer<LeafTask>) -> Bool {
  task.pointee.widensPages
    && (isWidened(task, task.pointee.keyElement) || isWidened(task, task.pointee.valueElement))
}

@inline(__always)
func isWidened(_ task: UnsafePointer<LeafTask>, _ element: StoredElement) -> Bool {
  element.isFloat16 || (element.isBFloat16 && !dotsPairs(task))
}

/// Whether any row sees a slot of the entry.
@inline(never)
func isSeen(_ task: UnsafePointer<LeafTask>, _ entry: UnsafePointer<LeafEntry>) -> Bool {
  var token = 0
  while token < task.pointee.rowCount / task.pointee.group {
    let slots = visibleSlots(
      entry.pointee, task.pointee.positions[token], task.pointee.visibility)
    if slots.low < slots.high { return true }
    token += 1
  }
  return false
}

/// The page of an entry as it is stored.
@inline(__always)
func entryView(
  _ task: UnsafePointer<LeafTask>, _ index: Int, _ page: Raw, _ isMany: Bool
) -> PageView {
  let isCoded = task.pointee.entries[index].isCoded
  var view = isCoded ? codedView(task, page, !isMany) : storedView(task, page, !isMany)
  let asksNextPage = task.pointee.asksNextPage
  guard task.pointee.nearAhead != 0, !isMany || !(isCoded || asksNextPage) else { return view }
  view.ahead.near = isMany ? blockBytes(view) : linesAhead(task)
  if isCoded {
    view.ahead.next = codesAhead(task, index, page)
    return view
  }
  askTables(task, index)
  if let next = pageAhead(task, index + 1) {
    if asksNextPage {
      view.ahead.next = Raw(next) - page
    } else {
      let isPaired = view.valueElement.isBFloat16
      let end =
        view.values + 64 * task.pointee.outputStride
        * (isPaired || view.valueElement.isFloat16 ? 2 : 4)
      view.jump = Raw(next) - end
    }
  }
  if task.pointee.entries[index].slotTurns >= 0 && !asksNextPage && !isMany
    && !view.keyElement.isBFloat16
  {
    // The second members of the next page's keys are read together with the first ones.
    view.ahead.near += task.pointee.pairs * view.keyRowBytes
  }
  return view
}

/// How far tiles of few rows ask for the lines that follow, in bytes.
///
/// Tiles that take little time do better with less, blocks of three tiles and more, which take long over a part, with more (measured: Documentation/Kernels.md).
@inline(__always)
func linesAhead(_ task: UnsafePointer<LeafTask>) -> Int {
  #if KERNELS_AVX512 || KERNELS_AVX512BF16
  let most = task.pointee.nearAhead
  if task.pointee.asksNextPage { return most }
  if task.pointee.rowCount == 1 { return most / 2 }
  if task.pointee.rowCount > 16 {
    let isHalf = task.pointee.keyElement.isFloat16 || task.pointee.keyElement.isBFloat16
    return most * (isHalf ? 2 : 3)
  }
  if task.pointee.rowCount <= 8 && !task.pointee.keyElement.isFloat16 { return most / 4 * 3 }
  #endif
  return task.pointee.nearAhead
}

/// The page of an entry of the task, or of the one that comes next.
@inline(__always)
func pageAhead(_ task: UnsafePointer<LeafTask>, _ index: Int) -> UnsafeMutableRawPointer? {
  guard index < task.pointee.entryCount + task.pointee.followingCount else { return nil }
  return task.pointee.pages[Int(task.pointee.entries[index].page)]
}

/// Asks for an entry to come, and for the address of the page of one that comes sooner: a page's time is too long for the processor to
/// keep its eye on tables of which it takes a few bytes a page.
@inline(__always)
func askTables(_ task: UnsafePointer<LeafTask>, _ index: Int) {
  guard index + 8 < task.pointee.entryCount + task.pointee.followingCount else { return }
  attention_prefetch(task.pointee.entries + index + 16)
  attention_prefetch(task.pointee.pages + Int(task.pointee.entries[index + 8].page))
}

/// The page as it is stored.
@inline(__always)
func storedView(_ task: UnsafePointer<LeafTask>, _ page: Raw, _ streams: Bool) -> PageView {
  let isPaired = task.pointee.keyElement.isBFloat16
  return PageView(
    keys: page, keyElement: task.pointee.keyElement,
    keyRows: isPaired ? (task.pointee.keyWidth + 1) / 2 : task.pointee.keyWidth,
    keyRowBytes: task.pointee.keyElement.isFloat16 ? 128 : 256,
    values: page + task.pointee.valueOffset, valueElement: task.pointee.valueElement,
    streams: streams)
}

/// Brings what has to be in f32 into the scratch: keys that are still to be turned, unless few rows turn them in their tile,
/// and for many rows whatever they multiply better so.
///
/// Widening is exact and the products run in the same order, so it changes no bit; but codes that are widened meet
/// queries and probabilities that are not integers (`LeafTask.widensCodes`).
@inline(never)
func widenPage(
  _ task: UnsafePointer<LeafTask>, _ scratch: Scratch, _ index: Int, _ page: Raw, _ isMany: Bool
) -> PageView {
  let entry = task.pointee.entries + index
  var view = entryView(task, index, page, isMany)
  let turnsKeys = entry.pointee.slotTurns >= 0
  let widensPlain = isMany && task.pointee.widensPages
  let hasCodedKeys = !view.keyCode.isNone
  if turnsKeys && !hasCodedKeys && task.pointee.rowCount <= mostTurningRows,
    let turns = task.pointee.slotTurns
  {
    view.turns = turns + Int(entry.pointee.slotTurns) * task.pointee.pairs * 128
  } else if turnsKeys
    || (hasCodedKeys ? task.pointee.widensCodes : widensPlain && isWidened(task, view.keyElement))
  {
    if hasCodedKeys { decodeKeys(page, view.keyCode, task.pointee.keyWidth, scratch.keys) }
    if turnsKeys, let turns = task.pointee.slotTurns {
      turnKeys(
        task, hasCodedKeys ? Raw(scratch.keys) : page, hasCodedKeys ? .float32 : view.keyElement,
        scratch.keys, turns + Int(entry.pointee.slotTurns) * task.pointee.pairs * 128,
        hasCodedKeys ? Ahead() : view.ahead, !hasCodedKeys)
    } else if !hasCodedKeys {
      widenKeys(task, page, scratch.keys)
    }
    view.keys = Raw(scratch.keys)
    view.keyRows = hasCodedKeys ? task.pointee.keyWidth : view.keyRows
    if view.keyElement.isBFloat16 && !hasCodedKeys { view.keyRows *= 2 }
    view.keyElement = .float32
    view.keyCode = .none
    view.keyRowBytes = 256
  }
  if view.valueCode.isNone {
    if widensPlain && isWidened(task, view.valueElement) {
      widenValues(task, view.values, scratch.values)
      view.values = Raw(scratch.values)
      view.valueElement = .float32
    }
  } else if task.pointee.widensCodes {
    decodeValues(view.values, view.valueCode, task.pointee.outputStride, scratch.values)
    view.values = Raw(scratch.values)
    view.valueElement = .float32
    view.valueCode = .none
  }
  return view
}

/// Keys in f32, `[stored channel][slot]`, in the order of the prepared queries.
@inline(__always)
func widenKeys(_ task: UnsafePointer<LeafTask>, _ page: Raw, _ target: Floats) {
  let width = task.pointee.keyWidth
  switch task.pointee.keyElement {
  case .float32:
    UnsafeMutableRawPointer(target).copyMemory(from: page, byteCount: width * 256)
  case .float16:
    widenHalves(page, width * 64, target)
  case .bfloat16:
    widenPairs(page, (width + 1) / 2, 64, target)
  }
}

/// Values in f32, `[panel][slot][channel]`.
@inline(__always)
func widenValues(_ task: UnsafePointer<LeafTask>, _ values: Raw, _ target: Floats) {
  let padded = task.pointee.outputStride
  if task.pointee.valueElement.isFloat16 {
    widenHalves(values, padded * 64, target)
  } else {
    widenPairedValues(values, padded, target)
  }
}

/// bf16 values, `[panel][slot pair][channel][2]`, in f32, `[panel][slot][channel]`.
@inline(__always)
func widenPairedValues(_ values: Raw, _ columns: Int, _ target: Floats) {
  var column = 0
  while column < columns {
    let width = panelWidth(columns, column)
    widenPairs(values + column * 128, 32, width, target + column * 64)
    column += width
  }
}

@inline(__always)
func widenHalves(_ source: Raw, _ count: Int, _ target: Floats) {
  var at = 0
  while at < count {
    attention_store(target + at, attention_load_half(source + 2 * at))
    at += 16
  }
}

/// `rows` rows of `width` bf16 pairs into twice as many rows of f32.
@inline(__always)
func widenPairs(_ source: Raw, _ rows: Int, _ width: Int, _ target: Floats) {
  var row = 0
  while row < rows {
    var at = 0
    while at < width {
      let pairs = attention_load_pairs(source + (row * width + at) * 4)
      attention_store(target + 2 * row * width + at, attention_first_of_pairs(pairs))
      attention_store(target + (2 * row + 1) * width + at, attention_second_of_pairs(pairs))
      at += 16
    }
    row += 1
  }
}

/// Keys in f32, with (u, v) ← (u·cos − v·sin, u·sin + v·cos) for every pair and slot; `turns` is
/// `[pair][cos: 64 | sin: 64]`.
///
/// The members of a pair one after the other if `isPaired` is set, else all first ones before the second ones: in that order,
/// keys that are in f32 already may be turned where they lie.
@inline(__always)
func turnKeys(
  _ task: UnsafePointer<LeafTask>, _ page: Raw, _ element: StoredElement, _ target: Floats,
  _ turns: UnsafePointer<Float>, _ ahead: Ahead, _ isPaired: Bool
) {
  let pairs = task.pointee.pairs
  let width = task.pointee.keyWidth
  let rowBytes = element.isFloat16 ? 128 : 256
  var pair = 0
  while pair < pairs {
    let first = page + pair * rowBytes
    let second = element.isBFloat16 ? first : page + (pairs + pair) * rowBytes
    let bytes = element.isBFloat16 ? rowBytes : 2 * rowBytes
    askAheadOfTurn(page + pair * bytes, bytes, ahead)
    let table = turns + pair * 128
    let targets = (
      target + (isPaired ? 2 * pair : pair) * 64,
      target + (isPaired ? 2 * pair + 1 : pairs + pair) * 64
    )
    var slot = 0
    while slot < 64 {
      let u: Vector
      let v: Vector
      switch element {
      case .float32:
        u = attention_load(first.assumingMemoryBound(to: Float.self) + slot)
        v = attention_load(second.assumingMemoryBound(to: Float.self) + slot)
      case .float16:
        u = attention_load_half(first + 2 * slot)
        v = attention_load_half(second + 2 * slot)
      case .bfloat16:
        let both = attention_load_pairs(first + 4 * slot)
        u = attention_first_of_pairs(both)
        v = attention_second_of_pairs(both)
      }
      let c = attention_load(table + slot)
      let s = attention_load(table + 64 + slot)
      attention_store(
        targets.0 + slot, attention_subtract(attention_multiply(u, c), attention_multiply(v, s)))
      attention_store(targets.1 + slot, attention_fma(v, c, attention_multiply(u, s)))
      slot += 16
    }
    pair += 1
  }
  let done = element.isBFloat16 ? pairs : 2 * pairs
  let rest = page + done * rowBytes
  let restRows = (element.isBFloat16 ? (width + 1) / 2 : width) - done
  askAheadOfTurn(rest, restRows * rowBytes, ahead)
  switch element {
  case .float32:
    UnsafeMutableRawPointer(target + 128 * pairs).copyMemory(
      from: rest, byteCount: (width - 2 * pairs) * 256)
  case .float16:
    widenHalves(rest, (width - 2 * pairs) * 64, target + 128 * pairs)
  case .bfloat16:
    widenPairs(rest, (width + 1) / 2 - pairs, 64, target + 128 * pairs)
  }
}

/// Asks for `bytes` of what comes after `from`, line after line, on behalf of the members of a pair.
@inline(__always)
func askAheadOfTurn(_ from: Raw, _ bytes: Int, _ ahead: Ahead) {
  if ahead.next != 0 {
    askFar(from + ahead.next, bytes)
  } else if ahead.near != 0 {
    askAhead(from, 0, bytes, ahead)
  }
}

/// Asks for lines into the first level of cache.
@inline(__always)
func askNear(_ at: Raw, _ bytes: Int) {
  var line = 0
  while line < bytes {
    attention_prefetch(at + line)
    line += 64
  }
}

/// Asks for lines into the second level of cache.
@inline(__always)
func askFar(_ at: Raw, _ bytes: Int) {
  var line = 0
  while line < bytes {
    attention_prefetch_far(at + line)
    line += 64
  }
}
