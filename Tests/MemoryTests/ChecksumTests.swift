import Memory
import TestSupport
import Testing

@Suite("Checksums")
struct ChecksumTests {
  @Test(
    "tell bytes that differ in one bit, or in length", arguments: [0, 1, 7, 8, 63, 64, 65, 200])
  func singleBits(count: Int) {
    var random = SeededGenerator(seed: UInt64(count))
    let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    var sums: Set<UInt64> = [Checksum.of(bytes)]
    for bit in 0..<8 * count {
      var other = bytes
      other[bit / 8] ^= 1 << UInt8(bit % 8)
      sums.insert(Checksum.of(other))
    }
    sums.insert(Checksum.of(bytes + [0]))
    #expect(sums.count == 8 * count + 2)
  }

  @Test("tell the highest bits of two words of a lane, and words that have changed places")
  func pairs() {
    let zeros = [UInt8](repeating: 0, count: 512)
    var sums: Set<UInt64> = [Checksum.of(zeros)]
    for first in stride(from: 7, to: 512, by: 8) {
      for second in stride(from: 7, through: first, by: 8) {
        var other = zeros
        other[first] |= 0x80
        other[second] |= 0x40
        sums.insert(Checksum.of(other))
        other[second] ^= 0xC0
        sums.insert(Checksum.of(other))
      }
    }
    // Where both are one word, the second change leaves nothing.
    #expect(sums.count == 1 + 64 * 63 + 64)
  }

  @Test("are the same on every machine")
  func known() {
    #expect(Checksum.of((0..<100).map { UInt8($0) }) == 18_387_492_218_792_384_226)
  }
}
