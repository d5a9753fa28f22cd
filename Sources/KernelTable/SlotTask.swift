/// Keys and values of consecutive tokens on their way into consecutive slots of one page of one KV head.
///
/// The key of token t is turned by `turns[t]`, rounded to nearest even and written in rotary order
/// (Documentation/Kernels.md): f32 and f16 rows hold the first members of the pairs, then the second
/// members, then the channels that pass through; bf16 rows hold a pair in one 32-bit lane. The unused half
/// of a pair (odd widths in K; in V the other slot of a slot pair when it lies outside the page's slots
/// written so far) is zeroed: appending slot 2i of a bf16 V zeroes slot 2i + 1.
@unsafe package struct SlotTask {
  /// `[token][keyWidth]` f32 at `tokenStride` floats from each other.
  package var keys: UnsafePointer<Float>
  package var keyTokenStride: Int
  /// `[token][valueWidth]` f32.
  package var values: UnsafePointer<Float>
  package var valueTokenStride: Int
  package var tokenCount: Int
  /// R(position − anchor) of each token, `[token][cos: pairs | sin: pairs]`, or nil.
  package var turns: UnsafePointer<Float>?
  package var pairs: Int
  package var pairOrder: PairOrder

  package var page: UnsafeMutableRawPointer
  package var firstSlot: Int
  package var keyElement: StoredElement
  package var valueElement: StoredElement
  package var keyWidth: Int
  package var valueWidth: Int
  package var valueOffset: Int
  /// Raised to the norms of what is written, rounded up, if not nil.
  package var norms: UnsafeMutablePointer<PageNorms>?

  package init(
    keys: UnsafePointer<Float>, keyTokenStride: Int, values: UnsafePointer<Float>,
    valueTokenStride: Int, tokenCount: Int, turns: UnsafePointer<Float>?, pairs: Int,
    pairOrder: PairOrder, page: UnsafeMutableRawPointer, firstSlot: Int, keyElement: StoredElement,
    valueElement: StoredElement, keyWidth: Int, valueWidth: Int, valueOffset: Int,
    norms: UnsafeMutablePointer<PageNorms>? = nil
  ) {
    unsafe self.keys = keys
    unsafe self.keyTokenStride = keyTokenStride
    unsafe self.values = values
    unsafe self.valueTokenStride = valueTokenStride
    unsafe self.tokenCount = tokenCount
    unsafe self.turns = turns
    unsafe self.pairs = pairs
    unsafe self.pairOrder = pairOrder
    unsafe self.page = page
    unsafe self.firstSlot = firstSlot
    unsafe self.keyElement = keyElement
    unsafe self.valueElement = valueElement
    unsafe self.keyWidth = keyWidth
    unsafe self.valueWidth = valueWidth
    unsafe self.valueOffset = valueOffset
    unsafe self.norms = norms
  }
}
