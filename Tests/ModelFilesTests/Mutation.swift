import TestSupport

/// Ways in which files go bad on the way.
enum Mutation: String, CaseIterable, Sendable {
  case cut, flippedBits, changedBytes, changedNumber, swappedNumbers, removed, inserted, repeated
  case zeroed, mixed

  /// Applies it at places that the generator chooses, most of them in the header.
  func apply(
    to bytes: inout [UInt8], headerByteCount: Int, using generator: inout SeededGenerator
  ) {
    func place() -> Int {
      let end = generator.uniform() < 0.85 ? min(headerByteCount, bytes.count) : bytes.count
      return end == 0 ? 0 : generator.integer(in: 0..<end)
    }
    func range() -> Range<Int> {
      let start = place()
      return start..<min(bytes.count, start + generator.integer(in: 1..<64))
    }
    func random() -> UInt8 { UInt8(truncatingIfNeeded: generator.next()) }
    guard !bytes.isEmpty else { return }
    switch self {
    case .cut: bytes.removeSubrange(place()...)
    case .flippedBits:
      for _ in 0..<generator.integer(in: 1..<9) {
        bytes[place()] ^= 1 << UInt8(generator.integer(in: 0..<8))
      }
    case .changedBytes: for index in range() { bytes[index] = random() }
    case .changedNumber:
      let numbers: [UInt64] = [
        0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 1 << 59, 1 << 61, 1 << 62,
        .max >> 1, 1 << 63, .max - 31, .max, UInt64(bytes.count), UInt64(bytes.count) - 1,
      ]
      let number = little(numbers[generator.integer(in: 0..<numbers.count)])
      let (start, width) = (place(), [1, 2, 4, 8][generator.integer(in: 0..<4)])
      for index in start..<min(bytes.count, start + width) { bytes[index] = number[index - start] }
    case .swappedNumbers:
      let (first, second) = (place(), place())
      for index in 0..<8 where max(first, second) + index < bytes.count {
        bytes.swapAt(first + index, second + index)
      }
    case .removed: bytes.removeSubrange(range())
    case .inserted:
      bytes.insert(
        contentsOf: (0..<generator.integer(in: 1..<64)).map { _ in random() }, at: place())
    case .repeated:
      let range = range()
      for _ in 0..<generator.integer(in: 1..<20) {
        bytes.insert(contentsOf: bytes[range], at: range.upperBound)
      }
    case .zeroed: for index in range() { bytes[index] = 0 }
    case .mixed:
      for _ in 0..<generator.integer(in: 2..<6) {
        let kind = Self.allCases[generator.integer(in: 0..<Self.allCases.count - 1)]
        kind.apply(to: &bytes, headerByteCount: headerByteCount, using: &generator)
      }
    }
  }
}
