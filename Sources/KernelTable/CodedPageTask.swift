/// A plain page that becomes a quantised one, or the other way round.
///
/// Quantising reads the live slots only, and every other slot decodes to some finite number. A scale group (a channel
/// over 64 slots, or 32 in 4 bits) gets the largest f16 zero that is not above its numbers and an f16 scale by
/// which the largest code reaches them; a code is the nearest one, so a number is off by about half a scale at most. Widening writes all 64
/// slots of the plain page, each number rounded to nearest even.
@unsafe package struct CodedPageTask {
  /// Read when quantising, written when widening.
  package var plain: UnsafeMutableRawPointer
  /// Written when quantising, read when widening.
  package var coded: UnsafeMutableRawPointer
  package var keyElement: StoredElement
  package var valueElement: StoredElement
  package var keyCode: PageCode
  package var valueCode: PageCode
  package var keyWidth: Int
  package var valueWidth: Int
  /// Rotary pairs: bf16 keys store them side by side, codes do not.
  package var pairs: Int
  /// From the start of the plain and of the quantised page to its values, in bytes.
  package var plainValueOffset: Int
  package var codedValueOffset: Int
  /// Live slots are `firstSlot..<endSlot`.
  package var firstSlot: Int
  package var endSlot: Int
  /// Set by quantising to upper bounds of ‖k − k̂‖ and ‖v − v̂‖ over the live slots, k̂ and v̂ being what the page now holds;
  /// 0 where nothing is quantised.
  ///
  /// +∞ where a live number is not finite or beyond f16's range: such a page must not be used.
  package var errors: PageErrors
  /// At least `scratchBytes(keyWidth:valueWidth:)`, 64-byte aligned.
  package var scratch: UnsafeMutableRawPointer

  /// Bytes of a page in f32, and of sixteen partial sums for each slot.
  package static func scratchBytes(keyWidth: Int, valueWidth: Int) -> Int {
    unsafe (LeafTask.pageFloats(keyWidth) + LeafTask.pageFloats(valueWidth) + 64 * 16) * 4
  }

  package init(
    plain: UnsafeMutableRawPointer, coded: UnsafeMutableRawPointer, keyElement: StoredElement,
    valueElement: StoredElement, keyCode: PageCode, valueCode: PageCode, keyWidth: Int,
    valueWidth: Int, pairs: Int, plainValueOffset: Int, codedValueOffset: Int, firstSlot: Int = 0,
    endSlot: Int = 64, scratch: UnsafeMutableRawPointer
  ) {
    unsafe self.plain = plain
    unsafe self.coded = coded
    unsafe self.keyElement = keyElement
    unsafe self.valueElement = valueElement
    unsafe self.keyCode = keyCode
    unsafe self.valueCode = valueCode
    unsafe self.keyWidth = keyWidth
    unsafe self.valueWidth = valueWidth
    unsafe self.pairs = pairs
    unsafe self.plainValueOffset = plainValueOffset
    unsafe self.codedValueOffset = codedValueOffset
    unsafe self.firstSlot = firstSlot
    unsafe self.endSlot = endSlot
    unsafe errors = .none
    unsafe self.scratch = scratch
  }
}

/// How far the keys and values of a page of one KV head are from what was written to it, at most.
///
/// A distance is √Σ (x − x̂)² over the channels of one slot; a rotation leaves it as it is.
package struct PageErrors: Sendable, Equatable, BitwiseCopyable {
  package var key: Float
  package var value: Float

  package init(key: Float, value: Float) {
    self.key = key
    self.value = value
  }

  /// Those of a page that holds what was written.
  package static var none: PageErrors { PageErrors(key: 0, value: 0) }
}
