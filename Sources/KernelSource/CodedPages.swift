import CKernelShim
import KernelTable

// SAFETY: pointers from end to end; whoever makes a task vouches for its pages, widths and offsets.

/// Plain page → quantised page: `CodedPageTask`.
func quantizePage(_ task: UnsafeMutablePointer<CodedPageTask>) {
  let keyWidth = task.pointee.keyWidth
  let columns = (task.pointee.valueWidth + 15) / 16 * 16
  let keys = task.pointee.scratch.assumingMemoryBound(to: Float.self)
  let values = keys + (keyWidth + 15) / 16 * 16 * 64
  let plainValues = Raw(task.pointee.plain) + task.pointee.plainValueOffset
  let codedValues = task.pointee.coded + task.pointee.codedValueOffset
  task.pointee.errors.key = 0
  task.pointee.errors.value = 0
  if task.pointee.keyCode.isNone {
    task.pointee.coded.copyMemory(
      from: task.pointee.plain, byteCount: task.pointee.plainValueOffset)
  } else {
    loadKeys(task, keys)
    task.pointee.errors.key = encodeKeys(
      keys, keyWidth, task.pointee.keyCode, task.pointee.firstSlot, task.pointee.endSlot,
      task.pointee.coded)
  }
  if task.pointee.valueCode.isNone {
    codedValues.copyMemory(
      from: plainValues, byteCount: columns * 64 * plainBytes(task.pointee.valueElement))
  } else {
    loadValues(plainValues, task.pointee.valueElement, columns, values)
    task.pointee.errors.value = encodeValues(
      values, columns, task.pointee.valueCode, task.pointee.firstSlot, task.pointee.endSlot,
      codedValues, values + columns * 64)
  }
}

/// Quantised page → plain page: `CodedPageTask`.
func widenCodedPage(_ task: UnsafePointer<CodedPageTask>) {
  let keyWidth = task.pointee.keyWidth
  let columns = (task.pointee.valueWidth + 15) / 16 * 16
  let keys = task.pointee.scratch.assumingMemoryBound(to: Float.self)
  let values = keys + (keyWidth + 15) / 16 * 16 * 64
  let plainValues = task.pointee.plain + task.pointee.plainValueOffset
  let codedValues = Raw(task.pointee.coded) + task.pointee.codedValueOffset
  if task.pointee.keyCode.isNone {
    task.pointee.plain.copyMemory(
      from: task.pointee.coded, byteCount: task.pointee.plainValueOffset)
  } else {
    decodeKeys(Raw(task.pointee.coded), task.pointee.keyCode, keyWidth, keys)
    storeKeys(task, keys)
  }
  if task.pointee.valueCode.isNone {
    plainValues.copyMemory(
      from: codedValues, byteCount: columns * 64 * plainBytes(task.pointee.valueElement))
  } else {
    decodeValues(codedValues, task.pointee.valueCode, columns, values)
    storeValues(values, columns, task.pointee.valueElement, plainValues)
  }
}

@inline(__always)
func plainBytes(_ element: StoredElement) -> Int {
  switch element {
  case .float32: 4
  case .float16, .bfloat16: 2
  }
}

/// Keys of a plain page in f32, `[channel][slot]`, in rotary order.
@inline(__always)
func loadKeys(_ task: UnsafeMutablePointer<CodedPageTask>, _ target: Floats) {
  let page = Raw(task.pointee.plain)
  let width = task.pointee.keyWidth
  switch task.pointee.keyElement {
  case .float32:
    UnsafeMutableRawPointer(target).copyMemory(from: page, byteCount: width * 256)
  case .float16:
    widenHalves(page, width * 64, target)
  case .bfloat16:
    var channel = 0
    while channel < width {
      let place = pairedPlace(channel, task.pointee.pairs)
      var slot = 0
      while slot < 64 {
        let pairs = attention_load_pairs(page + place.pair * 256 + 4 * slot)
        attention_store(
          target + 64 * channel + slot,
          place.isSecond ? attention_second_of_pairs(pairs) : attention_first_of_pairs(pairs))
        slot += 16
      }
      channel += 1
    }
  }
}

/// Which pair of a bf16 page holds a channel that is counted in rotary order.
@inline(__always)
func pairedPlace(_ channel: Int, _ pairs: Int) -> (pair: Int, isSecond: Bool) {
  channel < pairs
    ? (channel, false)
    : channel < 2 * pairs ? (channel - pairs, true) : (channel / 2, channel & 1 == 1)
}

/// The channel in rotary order of half `half` of a pair; `width` or more where there is none.
@inline(__always)
func orderedChannel(_ pair: Int, _ half: Int, _ pairs: Int) -> Int {
  pair < pairs ? pair + half * pairs : 2 * pair + half
}

@inline(__always)
func storeKeys(_ task: UnsafePointer<CodedPageTask>, _ source: Floats) {
  let page = task.pointee.plain
  let width = task.pointee.keyWidth
  switch task.pointee.keyElement {
  case .float32:
    page.copyMemory(from: source, byteCount: width * 256)
  case .float16:
    narrowToHalves(source, width * 64, page)
  case .bfloat16:
    var pair = 0
    while 2 * pair < width {
      let first = orderedChannel(pair, 0, task.pointee.pairs)
      let second = orderedChannel(pair, 1, task.pointee.pairs)
      var slot = 0
      while slot < 64 {
        let v = second < width ? attention_load(source + 64 * second + slot) : Vector()
        attention_store_pairs(
          page + pair * 256 + 4 * slot,
          attention_pair(attention_load(source + 64 * first + slot), v))
        slot += 16
      }
      pair += 1
    }
  }
}

/// Values of a plain page in f32, `[panel of 64][slot][channel]`.
@inline(__always)
func loadValues(_ values: Raw, _ element: StoredElement, _ columns: Int, _ target: Floats) {
  switch element {
  case .float32:
    UnsafeMutableRawPointer(target).copyMemory(from: values, byteCount: columns * 256)
  case .float16:
    widenHalves(values, columns * 64, target)
  case .bfloat16:
    widenPairedValues(values, columns, target)
  }
}

@inline(__always)
func storeValues(
  _ source: Floats, _ columns: Int, _ element: StoredElement, _ values: UnsafeMutableRawPointer
) {
  switch element {
  case .float32:
    values.copyMemory(from: source, byteCount: columns * 256)
  case .float16:
    narrowToHalves(source, columns * 64, values)
  case .bfloat16:
    var column = 0
    while column < columns {
      let width = panelWidth(columns, column)
      let panel = source + column * 64
      let target = values + column * 128
      var pair = 0
      while pair < 32 {
        var at = 0
        while at < width {
          attention_store_pairs(
            target + (pair * width + at) * 4,
            attention_pair(
              attention_load(panel + 2 * pair * width + at),
              attention_load(panel + (2 * pair + 1) * width + at)))
          at += 16
        }
        pair += 1
      }
      column += width
    }
  }
}

@inline(__always)
func narrowToHalves(_ source: Floats, _ count: Int, _ target: UnsafeMutableRawPointer) {
  var at = 0
  while at < count {
    attention_store_half(target + 2 * at, attention_load(source + at))
    at += 16
  }
}
