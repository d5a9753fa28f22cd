/// The bytes of every token, and a hash table from bytes to the token that text is encoded to.
///
/// Open addressing, at most half full. The hash is seeded anew for every table, so no file can be made to collide.
struct TokenTable: Sendable {
  /// All tokens' bytes, one after the other.
  private var bytes: [UInt8] = []
  /// Where each token starts, and last the number of bytes.
  private var starts: [Int] = [0]
  /// Token ids, −1 where free; the count is a power of two.
  private var slots: [Int32] = []
  private let seed = UInt64.random(in: .min ... .max)

  init(capacity: Int) {
    starts.reserveCapacity(capacity + 1)
    bytes.reserveCapacity(capacity * 8)
    let slotCount = 1 << (Int.bitWidth - (2 * capacity).leadingZeroBitCount)
    slots = [Int32](repeating: -1, count: max(2, slotCount))
  }

  /// The number of tokens.
  var count: Int { starts.count - 1 }

  /// Adds the next token; its text stands for bytes where `isEncoded`, else for itself.
  mutating func append(_ text: String, isEncoded: Bool) {
    let isMapped = isEncoded && ByteAlphabet.append(bytesOf: text, to: &bytes)
    if !isMapped { bytes.append(contentsOf: text.utf8) }
    starts.append(bytes.count)
    // A token outside the alphabet stands for bytes that another one may stand for properly: it is never looked up.
    if isMapped, starts[count - 1] < bytes.count { insert(Int32(count - 1)) }
  }

  /// Where a token's bytes lie.
  private func range(of token: Int) -> Range<Int> { starts[token]..<starts[token + 1] }

  /// The bytes of a token.
  ///
  /// - Precondition: the token lies in `0..<count`.
  func bytes(of token: Int) -> ArraySlice<UInt8> { bytes[range(of: token)] }

  /// The token with these bytes, of several the last; nil where there is none.
  func token(of key: Span<UInt8>) -> Int32? {
    let token = slots[slot(of: key)]
    return token < 0 ? nil : token
  }

  private mutating func insert(_ token: Int32) {
    let slot = slot(of: bytes.span.extracting(range(of: Int(token))))
    // Of two tokens with equal bytes the later one is kept, as in llama.cpp.
    slots[slot] = token
  }

  /// The slot that holds the token with these bytes, or the free one where it would go.
  private func slot(of key: Span<UInt8>) -> Int {
    var slot = Int(truncatingIfNeeded: hash(key)) & (slots.count - 1)
    while slots[slot] >= 0, !isEqual(key, Int(slots[slot])) {
      slot = (slot + 1) & (slots.count - 1)
    }
    return slot
  }

  private func isEqual(_ key: Span<UInt8>, _ token: Int) -> Bool {
    let range = range(of: token)
    guard range.count == key.count else { return false }
    for index in key.indices where key[index] != bytes[range.lowerBound + index] { return false }
    return true
  }

  private func hash(_ key: Span<UInt8>) -> UInt64 {
    var hash = mixed(seed, UInt64(truncatingIfNeeded: key.count))
    var index = 0
    while index < key.count {
      var word: UInt64 = 0
      for place in index..<min(index + 8, key.count) { word = word << 8 | UInt64(key[place]) }
      hash = mixed(hash, word)
      index += 8
    }
    return hash
  }
}

/// Both halves of a 128-bit product, folded: the step of wyhash (Wang Yi 2019, github.com/wangyi-fudan/wyhash).
@inline(__always)
func mixed(_ seed: UInt64, _ word: UInt64) -> UInt64 {
  let factor = word ^ 0xE703_7ED1_A0B4_28DB
  let product = (seed ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: factor)
  return product.high ^ product.low
}
