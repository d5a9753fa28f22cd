/// A 64-bit checksum of bytes, as fast as one core reads them.
///
/// Eight lanes take a 64-bit word each in turn: lane ← high ⊕ low of the 128-bit product (lane ⊕ word) · k, the folded multiplication
/// of Wang Yi's wyhash. A plain product would not do: its highest bit passes on a difference in the highest bit alone, and the next
/// word can undo it. Bytes that differ have the same sum with a probability of about 2⁻⁶³. It guards against accidents, not against forgers.
package enum Checksum {
  /// 2⁶⁴ ÷ golden ratio, odd: any odd number with many bits would do.
  private static let factor: UInt64 = 0x9E37_79B9_7F4A_7C15

  /// The checksum of bytes; a missing part of the last 64 counts as zeros, and the length is part of it.
  package static func of(_ bytes: RawSpan) -> UInt64 {
    // SAFETY: the pointer is used inside the closure, within the span's bytes.
    unsafe bytes.withUnsafeBytes { unsafe of($0) }
  }

  /// The checksum of an array's bytes.
  package static func of(_ bytes: [UInt8]) -> UInt64 { of(unsafe bytes.span.bytes) }

  private static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let count = bytes.count
    var (a, b, c, d) = (factor &* 1, factor &* 3, factor &* 5, factor &* 7)
    var (e, f, g, h) = (factor &* 9, factor &* 11, factor &* 13, factor &* 15)
    var offset = 0
    if let base = bytes.baseAddress {
      while offset &+ 64 <= count {
        // SAFETY: the 64 bytes from `offset` on lie inside, as was just checked.
        let words = unsafe base + offset
        a = step(a, unsafe word(words, 0))
        b = step(b, unsafe word(words, 8))
        c = step(c, unsafe word(words, 16))
        d = step(d, unsafe word(words, 24))
        e = step(e, unsafe word(words, 32))
        f = step(f, unsafe word(words, 40))
        g = step(g, unsafe word(words, 48))
        h = step(h, unsafe word(words, 56))
        offset = offset &+ 64
      }
    }
    var rest = InlineArray<8, UInt64>(repeating: 0)
    for index in offset..<count {
      let place = index - offset
      rest[place / 8] |= unsafe UInt64(bytes[index]) << UInt64(place % 8 * 8)
    }
    if offset < count {
      (a, b, c, d) = (step(a, rest[0]), step(b, rest[1]), step(c, rest[2]), step(d, rest[3]))
      (e, f, g, h) = (step(e, rest[4]), step(f, rest[5]), step(g, rest[6]), step(h, rest[7]))
    }
    let first = mixed(mixed(mixed(mixed(UInt64(truncatingIfNeeded: count) ^ a) ^ b) ^ c) ^ d)
    return mixed(mixed(mixed(mixed(first ^ e) ^ f) ^ g) ^ h)
  }

  @inline(__always)
  private static func word(_ base: UnsafeRawPointer, _ offset: Int) -> UInt64 {
    // SAFETY: the caller vouches for the eight bytes.
    unsafe UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  @inline(__always)
  private static func step(_ lane: UInt64, _ word: UInt64) -> UInt64 {
    let product = (lane ^ word).multipliedFullWidth(by: factor)
    return product.high ^ product.low
  }

  /// A bijection that spreads every bit over all: Stafford 2011, “Better Bit Mixing”, variant 13.
  private static func mixed(_ word: UInt64) -> UInt64 {
    var word = word
    word = (word ^ (word &>> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word &>> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word &>> 31)
  }
}
