import CKernelShim
import KernelTable

/// Writes keys, turned, and values into consecutive slots of a page (see `SlotTask`).
func writePageSlots(_ task: UnsafePointer<SlotTask>) {
  withUnsafeTemporaryRows(task.pointee.keyWidth) { ordered, paired in
    var token = 0
    while token < task.pointee.tokenCount {
      writeKey(task, token, ordered, paired)
      writeValue(task, token)
      token += 1
    }
  }
}

/// Two rows of floats on the stack, for keys of up to 512 channels; wider ones are turned in the heap.
@inline(__always)
func withUnsafeTemporaryRows(_ width: Int, _ body: (Floats, Floats) -> Void) {
  if width <= 512 {
    var rows = InlineArray<1056, Float>(repeating: 0)
    withUnsafeMutablePointer(to: &rows) { pointer in
      let first = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: Float.self)
      body(first, first + 528)
    }
  } else {
    let first = Floats.allocate(capacity: 2 * (width + 16))
    body(first, first + width + 16)
    first.deallocate()
  }
}

@inline(__always)
func writeKey(_ task: UnsafePointer<SlotTask>, _ token: Int, _ ordered: Floats, _ paired: Floats) {
  let width = task.pointee.keyWidth
  let pairs = task.pointee.pairs
  let slot = task.pointee.firstSlot + token
  gatherRotary(
    task.pointee.keys + token * task.pointee.keyTokenStride, pairs, width, task.pointee.pairOrder,
    ordered)
  if pairs > 0, let turns = task.pointee.turns { turn(ordered, turns + token * 2 * pairs, pairs) }
  let page = task.pointee.page
  var channel = 0
  switch task.pointee.keyElement {
  case .float32:
    let target = page.assumingMemoryBound(to: Float.self) + slot
    while channel < width {
      target[64 * channel] = ordered[channel]
      channel += 1
    }
  case .float16:
    let target = page.assumingMemoryBound(to: UInt16.self) + slot
    while channel < width {
      target[64 * channel] = attention_half_bits(ordered[channel])
      channel += 1
    }
  case .bfloat16:
    pairRow(ordered, pairs, width, paired)
    let target = page.assumingMemoryBound(to: UInt32.self) + slot
    while channel < width {
      let first = UInt32(attention_bfloat_bit(paired[channel]))
      target[32 * channel] = first | UInt32(attention_bfloat_bit(paired[channel + 1])) &<< 16
      channel += 2
    }
  }
}

@inline(__always)
func writeValue(_ task: UnsafePointer<SlotTask>, _ token: Int) {
  let valueWidth = task.pointee.valueWidth
  let padded = (valueWidth + 15) / 16 * 16
  let source = task.pointee.values + token * task.pointee.valueTokenStride
  let slot = task.pointee.firstSlot + token
  var panel = task.pointee.page + task.pointee.valueOffset
  var channel = 0
  while channel < padded {
    let width = padded - channel < 64 ? padded - channel : 64
    let live = valueWidth - channel < width ? valueWidth - channel : width
    var at = 0
    switch task.pointee.valueElement {
    case .float32:
      let target = panel.assumingMemoryBound(to: Float.self) + slot * width
      while at < width {
        target[at] = at < live ? source[channel + at] : 0
        at += 1
      }
      panel += 64 * width * 4
    case .float16:
      let target = panel.assumingMemoryBound(to: UInt16.self) + slot * width
      while at + 16 <= live {
        attention_store_half(target + at, attention_load(source + channel + at))
        at += 16
      }
      while at < width {
        target[at] = at < live ? attention_half_bits(source[channel + at]) : 0
        at += 1
      }
      panel += 64 * width * 2
    case .bfloat16:
      let target = panel.assumingMemoryBound(to: UInt32.self) + (slot / 2) * width
      while at < width {
        let bits = at < live ? UInt32(attention_bfloat_bit(source[channel + at])) : 0
        // The first slot of a pair zeroes its neighbour, which is not live yet.
        target[at] = slot & 1 == 0 ? bits : (target[at] & 0xffff) | bits &<< 16
        at += 1
      }
      panel += 32 * width * 4
    }
    channel += width
  }
}
