import KernelTable

/// A plain page in which the slots of a quantised one are written first.
///
/// A quantised page is made at once, from all of its slots: what it held before is lost.
@safe final class StagingPage {
  let page: UnsafeMutableRawPointer
  /// From the start of the plain page to its values, in bytes.
  let valueOffset: Int
  private let shape: LayerShape
  private let scratch: UnsafeMutableRawPointer

  init(_ shape: LayerShape) {
    self.shape = shape
    let plain = PageLayout(shape.plain)
    valueOffset = plain.valueOffset
    unsafe page = .allocate(byteCount: plain.pageBytes, alignment: 64)
    // Slots that are never written are read, though nothing comes of it.
    unsafe page.initializeMemory(as: UInt8.self, repeating: 0, count: plain.pageBytes)
    unsafe scratch = .allocate(
      byteCount: CodedPageTask.scratchBytes(
        keyWidth: shape.keyWidth, valueWidth: shape.valueWidth), alignment: 64)
  }

  deinit {
    unsafe page.deallocate()
    unsafe scratch.deallocate()
  }

  /// Writes the slots that are in the plain page to `target`, with its errors; its norms grow by them.
  func quantize(
    to target: UnsafeMutableRawPointer, slots: Range<Int>,
    norms: UnsafeMutablePointer<PageNorms>?, errors: UnsafeMutablePointer<PageErrors>?,
    kernels: KernelTable
  ) {
    // SAFETY: both pages are as long as their layouts say, and scratch as long as the task asks for.
    var task = unsafe CodedPageTask(
      plain: page, coded: target, keyElement: shape.keyType.stored,
      valueElement: shape.valueType.stored, keyCode: shape.keyCode, valueCode: shape.valueCode,
      keyWidth: shape.keyWidth, valueWidth: shape.valueWidth, pairs: shape.rotaryPairs,
      plainValueOffset: valueOffset, codedValueOffset: PageLayout(shape).valueOffset,
      firstSlot: slots.lowerBound, endSlot: slots.upperBound, scratch: scratch)
    unsafe kernels.quantizePage(&task)
    unsafe errors?.pointee = task.errors
    // ‖k̂‖ ≤ ‖k‖ + ‖k − k̂‖; the sum is rounded up.
    unsafe norms?.pointee.key += task.errors.key * (1 + 0x1p-20)
    unsafe norms?.pointee.value += task.errors.value * (1 + 0x1p-20)
  }
}
