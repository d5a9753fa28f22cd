import KernelTable

/// What a page of a kernel test holds, plain or quantised.
struct PageForm {
  var keyWidth = 128
  var valueWidth = 128
  var keyElement = StoredElement.float16
  var valueElement = StoredElement.float16
  var keyCode = PageCode.int8
  var valueCode = PageCode.int8
  var pairs = 0
  var order = PairOrder.halves

  var layout: CodedPageLayout {
    CodedPageLayout(
      keyWidth: keyWidth, keyElement: keyElement, keyCode: keyCode, valueWidth: valueWidth,
      valueElement: valueElement, valueCode: valueCode)
  }

  /// The same page without codes.
  var plain: PageForm {
    var form = self
    (form.keyCode, form.valueCode) = (.none, .none)
    return form
  }

  /// Where a channel of the caller's stands among the channels in rotary order.
  func orderedChannel(_ channel: Int) -> Int {
    SlotTwin.keyIndex(channel: channel, slot: 0, pairs: pairs, order: order, element: .float16) / 64
  }
}

/// One code of a quantised page, read byte by byte.
struct StoredCode {
  var scale: Double
  var zero: Double
  var code: Int
  var value: Double { zero + scale * Double(code) }
}

/// A page with the slow, obvious reader of its layout.
struct CodedPage {
  let form: PageForm
  let memory: RawBlock

  init(_ form: PageForm) {
    self.form = form
    memory = RawBlock(byteCount: form.layout.pageBytes)
  }

  /// Nil if keys are not quantised.
  func keyCode(channel: Int, slot: Int) -> StoredCode? {
    let width = form.keyWidth
    let row = form.orderedChannel(channel)
    let padded = (width + 15) / 16 * 16
    let column = slot % 32
    switch form.keyCode {
    case .none: return nil
    case .int8:
      let codes = 4 * padded + slot / 32 * ((width + 3) / 4 * 128)
      return StoredCode(
        scale: memory.half(2 * row), zero: memory.half(2 * padded + 2 * row),
        code: memory.byte(codes + row / 4 * 128 + column * 4 + row % 4))
    case .int4:
      let start = slot / 32 * (4 * padded + (width + 7) / 8 * 128)
      let byte = memory.byte(start + 4 * padded + row / 8 * 128 + column * 4 + row % 4)
      return StoredCode(
        scale: memory.half(start + 2 * row), zero: memory.half(start + 2 * padded + 2 * row),
        code: row % 8 < 4 ? byte & 15 : byte >> 4)
    }
  }

  func valueCode(channel: Int, slot: Int) -> StoredCode? {
    let columns = (form.valueWidth + 15) / 16 * 16
    let panel = channel / 32
    let width = min(32, columns - 32 * panel)
    let column = channel % 32
    let rows = form.valueCode == .int4 ? 8 : 4
    if form.valueCode == .none { return nil }
    // A panel before this one has 32 columns of 64 codes, and two factors for all of them or for each half.
    let slots = form.valueCode == .int4 ? 32 : 64
    let part = slots * 4 / rows + 4
    let start =
      form.layout.valueOffset + panel * 32 * part * (64 / slots) + slot / slots * width * part
    let factors = start + (part - 4) * width
    let byte = memory.byte(start + slot % slots / rows * width * 4 + column * 4 + slot % 4)
    let code = form.valueCode == .int8 ? byte : slot % 8 < 4 ? byte & 15 : byte >> 4
    return StoredCode(
      scale: memory.half(factors + 2 * column), zero: memory.half(factors + 2 * width + 2 * column),
      code: code)
  }

  /// A key's number as the page stores it, quantised or not, by the caller's channels.
  func key(channel: Int, slot: Int) -> Double {
    if let code = keyCode(channel: channel, slot: slot) { return code.value }
    let index = SlotTwin.keyIndex(
      channel: channel, slot: slot, pairs: form.pairs, order: form.order, element: form.keyElement)
    return unsafe Double(SlotTwin.load(memory.start, index, form.keyElement))
  }

  func value(channel: Int, slot: Int) -> Double {
    if let code = valueCode(channel: channel, slot: slot) { return code.value }
    let index = SlotTwin.valueIndex(
      channel: channel, slot: slot, width: form.valueWidth, element: form.valueElement)
    return unsafe Double(
      SlotTwin.load(memory.start + form.layout.valueOffset, index, form.valueElement))
  }

  /// Writes keys and values, `[slot][channel]`, to the slots from `first` on of a plain page.
  func write(keys: [Float], values: [Float], from first: Int, by kernels: KernelTable) {
    let (keyBlock, valueBlock) = (RawBlock(keys), RawBlock(values))
    var task = unsafe SlotTask(
      keys: keyBlock.floats, keyTokenStride: form.keyWidth, values: valueBlock.floats,
      valueTokenStride: form.valueWidth, tokenCount: keys.count / form.keyWidth, turns: nil,
      pairs: form.pairs, pairOrder: form.order, page: memory.start, firstSlot: first,
      keyElement: form.keyElement, valueElement: form.valueElement, keyWidth: form.keyWidth,
      valueWidth: form.valueWidth, valueOffset: form.layout.valueOffset)
    unsafe kernels.writeSlots(&task)
    withExtendedLifetime((keyBlock, valueBlock, memory)) {}
  }

  /// Makes this page, which is quantised, hold the live slots of a plain one.
  func quantize(_ plain: CodedPage, slots: Range<Int>, by kernels: KernelTable) -> PageErrors {
    let scratch = unsafe RawBlock(
      byteCount: CodedPageTask.scratchBytes(keyWidth: form.keyWidth, valueWidth: form.valueWidth))
    var task = unsafe makeTask(plain, slots: slots, scratch: scratch)
    unsafe kernels.quantizePage(&task)
    withExtendedLifetime((scratch, memory, plain.memory)) {}
    return unsafe task.errors
  }

  /// Writes what this quantised page holds to a plain one.
  func widen(to plain: CodedPage, by kernels: KernelTable) {
    let scratch = unsafe RawBlock(
      byteCount: CodedPageTask.scratchBytes(keyWidth: form.keyWidth, valueWidth: form.valueWidth))
    var task = unsafe makeTask(plain, slots: 0..<64, scratch: scratch)
    unsafe kernels.widenPage(&task)
    withExtendedLifetime((scratch, memory, plain.memory)) {}
  }

  private func makeTask(_ plain: CodedPage, slots: Range<Int>, scratch: RawBlock) -> CodedPageTask {
    unsafe CodedPageTask(
      plain: plain.memory.start, coded: memory.start, keyElement: form.keyElement,
      valueElement: form.valueElement, keyCode: form.keyCode, valueCode: form.valueCode,
      keyWidth: form.keyWidth, valueWidth: form.valueWidth, pairs: form.pairs,
      plainValueOffset: plain.form.layout.valueOffset, codedValueOffset: form.layout.valueOffset,
      firstSlot: slots.lowerBound, endSlot: slots.upperBound, scratch: scratch.start)
  }
}
