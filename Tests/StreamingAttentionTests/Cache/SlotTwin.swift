import KernelTable
import StreamingAttention

/// The slow, obvious slot writer, and the reader that undoes its layout.
enum SlotTwin {
  /// A table whose slot writer is the twin; nothing else in it may be called.
  static let kernels = unsafe KernelTable { operation, task in
    precondition(operation == KernelOperation.writeSlots.rawValue)
    // SAFETY: the cache passes a SlotTask whose page and rows it vouches for.
    unsafe SlotTwin.write(task.assumingMemoryBound(to: SlotTask.self).pointee)
  }

  /// Index of a key's number in its page, counted in numbers.
  static func keyIndex(
    channel: Int, slot: Int, pairs: Int, order: PairOrder, element: StoredElement
  ) -> Int {
    let (pair, member) =
      channel >= 2 * pairs
      ? (channel / 2, channel % 2)
      : order == .halves
        ? (channel % pairs, channel / pairs) : (channel / 2, channel % 2)
    if element == .bfloat16 { return (pair * 64 + slot) * 2 + member }
    return (channel >= 2 * pairs ? channel : pair + member * pairs) * 64 + slot
  }

  /// Index of a value's number among the page's values.
  static func valueIndex(channel: Int, slot: Int, width: Int, element: StoredElement) -> Int {
    let panel = channel / 64
    let panelWidth = min(64, (width + 15) / 16 * 16 - panel * 64)
    let start = panel * 64 * 64
    if element == .bfloat16 {
      return start + (slot / 2 * panelWidth + channel % 64) * 2 + slot % 2
    }
    return start + slot * panelWidth + channel % 64
  }

  /// R(θ) applied to a key: the first 2·pairs channels turn, the others pass.
  static func turned(_ key: [Float], turns: [Float]?, pairs: Int, order: PairOrder) -> [Float] {
    guard let turns else { return key }
    var result = key
    for pair in 0..<pairs {
      let (a, b) = order == .halves ? (pair, pair + pairs) : (2 * pair, 2 * pair + 1)
      let (cosine, sine) = (turns[pair], turns[pairs + pair])
      result[a] = key[a] * cosine - key[b] * sine
      result[b] = key[b] * cosine + key[a] * sine
    }
    return result
  }

  static func write(_ task: SlotTask) {
    for token in unsafe 0..<task.tokenCount {
      let slot = unsafe task.firstSlot + token
      let key = unsafe (0..<task.keyWidth).map {
        unsafe task.keys[token * task.keyTokenStride + $0]
      }
      let pairs = unsafe task.pairs
      let turns = unsafe task.turns.map { all in
        (0..<2 * pairs).map { unsafe all[token * 2 * pairs + $0] }
      }
      let stored = unsafe turned(key, turns: turns, pairs: pairs, order: task.pairOrder)
      let padded = unsafe task.keyElement == .bfloat16 && task.keyWidth % 2 == 1
      for (channel, number) in (stored + (padded ? [0] : [])).enumerated() {
        let index = unsafe keyIndex(
          channel: channel, slot: slot, pairs: pairs, order: task.pairOrder,
          element: task.keyElement)
        unsafe store(number, task.page, index, task.keyElement)
      }
      let values = unsafe task.page + task.valueOffset
      for channel in unsafe 0..<(task.valueWidth + 15) / 16 * 16 {
        let isChannel = unsafe channel < task.valueWidth
        let number = unsafe isChannel ? task.values[token * task.valueTokenStride + channel] : 0
        let startsPair = unsafe task.valueElement == .bfloat16 && slot % 2 == 0
        for neighbour in 0...(startsPair ? 1 : 0) {
          let index = unsafe valueIndex(
            channel: channel, slot: slot + neighbour, width: task.valueWidth,
            element: task.valueElement)
          unsafe store(neighbour == 0 ? number : 0, values, index, task.valueElement)
        }
      }
      let value = unsafe (0..<task.valueWidth).map {
        unsafe task.values[token * task.valueTokenStride + $0]
      }
      if let norms = unsafe task.norms {
        let (key, value) = unsafe (
          norm(stored, task.keyElement), norm(value, task.valueElement)
        )
        unsafe norms.pointee.key = max(norms.pointee.key, value.isFinite ? key : .infinity)
        unsafe norms.pointee.value = max(norms.pointee.value, value)
      }
    }
  }

  /// The norm of numbers as they are stored, rounded up; +∞ if one is not finite.
  private static func norm(_ numbers: [Float], _ element: StoredElement) -> Float {
    let sum = numbers.reduce(0.0) { sum, number in
      let stored = Double(rounded(number, element))
      return sum + stored * stored
    }
    return sum.isFinite ? Float(sum.squareRoot()).nextUp : .infinity
  }

  static func store(
    _ number: Float, _ base: UnsafeMutableRawPointer, _ index: Int, _ element: StoredElement
  ) {
    switch element {
    case .float32: unsafe base.storeBytes(of: number, toByteOffset: index * 4, as: Float.self)
    case .float16:
      unsafe base.storeBytes(
        of: Float16(number).bitPattern, toByteOffset: index * 2, as: UInt16.self)
    case .bfloat16:
      unsafe base.storeBytes(of: bfloat16(number), toByteOffset: index * 2, as: UInt16.self)
    }
  }

  static func load(
    _ base: UnsafeRawPointer, _ index: Int, _ element: StoredElement
  ) -> Float {
    switch element {
    case .float32: unsafe base.load(fromByteOffset: index * 4, as: Float.self)
    case .float16:
      unsafe Float(Float16(bitPattern: base.load(fromByteOffset: index * 2, as: UInt16.self)))
    case .bfloat16:
      unsafe Float(
        bitPattern: UInt32(base.load(fromByteOffset: index * 2, as: UInt16.self)) << 16)
    }
  }

  /// What a number becomes when it is stored.
  static func rounded(_ number: Float, _ element: StoredElement) -> Float {
    switch element {
    case .float32: number
    case .float16: Float(Float16(number))
    case .bfloat16: Float(bitPattern: UInt32(bfloat16(number)) << 16)
    }
  }

  /// To nearest, ties to even; the tests store no NaN.
  static func bfloat16(_ number: Float) -> UInt16 {
    let bits = number.bitPattern
    return UInt16((bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
  }
}
