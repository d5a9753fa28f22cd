import CKernelShim
import KernelTable

/// Writes keys, turned, and values into consecutive slots of a page (see `SlotTask`).
func writePageSlots(_ task: UnsafePointer<SlotTask>) {
  withUnsafeTemporaryRows(task.pointee.keyWidth) { ordered, paired in
    var token = 0
    while token < task.pointee.tokenCount {
      writeKey(task, token, ordered, paired)
      writeValue(task, token)
      if let norms = task.pointee.norms { raise(norms, task, token, ordered) }
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

/// Raises a page's bounds to the norms of a token's key (in rotary order, as it was rounded) and value.
///
/// A page with a number that is not finite gets a key norm of +∞, so that it is always read.
@inline(never)
func raise(
  _ norms: UnsafeMutablePointer<PageNorms>, _ task: UnsafePointer<SlotTask>, _ token: Int,
  _ ordered: UnsafePointer<Float>
) {
  let key = normBound(ordered, task.pointee.keyWidth, task.pointee.keyElement)
  let value = normBound(
    task.pointee.values + token * task.pointee.valueTokenStride, task.pointee.valueWidth,
    task.pointee.valueElement)
  if key > norms.pointee.key { norms.pointee.key = key }
  if value > norms.pointee.value { norms.pointee.value = value }
  if value == .infinity { norms.pointee.key = .infinity }
}

/// An upper bound of the norm of `width` numbers once they are rounded to `element`; +∞ if one is not finite then.
///
/// With u = 2⁻²⁴: the sum of squares is short by at most width·u of itself and width·2⁻¹⁴⁹ where squares underflow, its
/// root by another u; rounding adds 2⁻¹¹ (f16) or 2⁻⁸ (bf16) of each number at most, and f16 half of its smallest
/// number, 2⁻²⁵. f16 rounds to infinity from 65,520 on; an overflow of bf16 overflows the sum of squares too.
@inline(__always)
func normBound(_ row: UnsafePointer<Float>, _ width: Int, _ element: StoredElement) -> Float {
  var sums = Vector()
  var largest = Vector()
  var channel = 0
  while channel + 16 <= width {
    let v = attention_load(row + channel)
    sums = attention_fma(v, v, sums)
    largest = attention_maximum(largest, attention_magnitude(v))
    channel += 16
  }
  var sum = attention_sum(sums)
  var most = attention_largest(largest)
  while channel < width {
    let x = row[channel]
    sum += x * x
    let size = x < 0 ? -x : x
    if size > most { most = size }
    channel += 1
  }
  let rounding: Float = element.isBFloat16 ? 0x1p-8 : element.isFloat16 ? 0x1p-11 : 0
  let smallest: Float = element.isFloat16 ? Float(width) * 0x1p-25 : 0x1p-60
  let bound =
    attention_square_root(sum) * (1 + rounding + (Float(width) + 64) * 0x1p-23) + smallest
  // Not below: a sum that is not a number compares with nothing.
  if element.isFloat16 && most >= 65_520 { return .infinity }
  return bound < .infinity ? bound : .infinity
}
