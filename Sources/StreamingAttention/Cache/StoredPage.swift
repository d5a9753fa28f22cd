import KernelTable

/// The numbers that a page of one layer and KV head holds, read back as the caller gave them.
///
/// The slow way, for the few pages that are written anew: kernels read pages in the order of their memory.
@safe struct StoredPage {
  private let address: UnsafeRawPointer
  private let shape: LayerShape
  private let valueOffset: Int

  /// The plain page at an address.
  ///
  /// - Precondition: It is a committed page of that plain shape for as long as the value is used.
  @unsafe init(_ address: UnsafeRawPointer, _ shape: LayerShape) {
    unsafe self.address = address
    self.shape = shape
    valueOffset = PageLayout(shape).valueOffset
  }

  /// Reads keys, turned as they are stored, `[slot][keyWidth]`, and values, `[slot][valueWidth]`.
  ///
  /// - Precondition: There is room for all slots, which lie in 0..<64.
  @unsafe func read(
    slots: Range<Int>, keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>
  ) {
    for channel in 0..<shape.keyWidth {
      let place = keyPlace(channel: channel)
      for (row, slot) in slots.enumerated() {
        unsafe keys[row * shape.keyWidth + channel] = number(
          at: place.first + slot * place.stride, after: 0, shape.keyType)
      }
    }
    for channel in 0..<shape.valueWidth {
      for (row, slot) in slots.enumerated() {
        unsafe values[row * shape.valueWidth + channel] = value(channel: channel, slot: slot)
      }
    }
  }

  /// Bounds of what the slots hold, from above; a key norm of +∞ if a number is not finite.
  func norms(of slots: Range<Int>) -> PageNorms {
    var (largestKey, largestValue) = (0.0, 0.0)
    var sums = InlineArray<64, Double>(repeating: 0)
    for channel in 0..<shape.keyWidth {
      let place = keyPlace(channel: channel)
      for slot in slots {
        let x = Double(
          number(at: place.first + slot * place.stride, after: 0, shape.keyType))
        sums[slot] += x * x
      }
    }
    for slot in slots { largestKey = Self.larger(largestKey, sums[slot]) }
    sums = InlineArray(repeating: 0)
    for channel in 0..<shape.valueWidth {
      for slot in slots {
        let x = Double(value(channel: channel, slot: slot))
        sums[slot] += x * x
      }
    }
    for slot in slots { largestValue = Self.larger(largestValue, sums[slot]) }
    let value = Self.root(largestValue)
    return PageNorms(key: value == .infinity ? .infinity : Self.root(largestKey), value: value)
  }

  /// +∞ if a sum is not a number.
  private static func larger(_ largest: Double, _ sum: Double) -> Double {
    sum <= largest ? largest : sum < .infinity ? sum : .infinity
  }

  /// The sum of up to 2¹⁶ squares in Double is short by less than an ulp of a Float, and so is its root.
  private static func root(_ sum: Double) -> Float { sum == 0 ? 0 : Float(sum.squareRoot()).nextUp }

  /// Where a channel's numbers lie among the keys: the one of slot 0, and from one slot to the next.
  private func keyPlace(channel: Int) -> (first: Int, stride: Int) {
    let pairs = shape.rotaryPairs
    var (pair, member) = (channel / 2, channel % 2)
    if channel < 2 * pairs, shape.rotaryPairing == .halves {
      (pair, member) = (channel % pairs, channel / pairs)
    }
    if shape.keyType == .bfloat16 { return (pair * 2 * PageLayout.slots + member, 2) }
    let row = channel < 2 * pairs ? pair + member * pairs : channel
    return (row * PageLayout.slots, 1)
  }

  private func value(channel: Int, slot: Int) -> Float {
    let panel = channel / PageLayout.panelWidth
    let columns = (shape.valueWidth + 15) / 16 * 16
    let width = min(columns - panel * PageLayout.panelWidth, PageLayout.panelWidth)
    let at = channel % PageLayout.panelWidth
    let isPaired = shape.valueType == .bfloat16
    let place = isPaired ? (slot / 2 * width + at) * 2 + slot % 2 : slot * width + at
    return number(
      at: panel * PageLayout.panelWidth * PageLayout.slots + place, after: valueOffset,
      shape.valueType)
  }

  /// The number of an index among those that begin `offset` bytes into the page.
  private func number(at index: Int, after offset: Int, _ type: ElementType) -> Float {
    // SAFETY: whoever made the value vouches for the page; indices come from its layout.
    switch type {
    case .float32:
      return unsafe address.load(fromByteOffset: offset + index * 4, as: Float.self)
    case .float16, .int8, .int4:
      let bits = UInt32(
        unsafe address.load(fromByteOffset: offset + index * 2, as: UInt16.self))
      let (sign, rest) = ((bits & 0x8000) << 16, (bits & 0x7FFF) << 13)
      // Exact, whatever the CPU can convert: an exponent 112 higher, all ones where it was.
      let size =
        rest >= 0x0F80_0000 ? rest | 0x7F80_0000 : (Float(bitPattern: rest) * 0x1p112).bitPattern
      return Float(bitPattern: sign | size)
    case .bfloat16:
      let bits = unsafe address.load(fromByteOffset: offset + index * 2, as: UInt16.self)
      return Float(bitPattern: UInt32(bits) << 16)
    }
  }
}
