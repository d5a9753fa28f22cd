import KernelTable
import Memory

/// Writes the keys and values of one request's tokens into the pages of one layer.
///
/// A plain value, valid while its step is in progress. Several threads may use copies of it at once on
/// different KV heads, or on different pages of the same head: a bf16 page stores neighbouring slots
/// together, so a page is never shared out.
@unsafe package struct SlotWriter {
  /// Tokens of the request.
  package let tokenCount: Int
  /// Slot of its first page that token 0 goes to.
  package let firstSlot: Int
  /// Pages of a KV head that the tokens touch.
  package var pageCount: Int {
    unsafe tokenCount == 0 ? 0 : (firstSlot + tokenCount + PageLayout.slots - 1) / PageLayout.slots
  }
  /// The position of token 0, and the anchor that its key is turned against.
  package let firstPosition: Int
  package let anchor: Int
  /// The epoch of the frequencies that turn its keys; 0 where they are stored unturned.
  package let epoch: Int

  let kernels: KernelTable
  /// Whether the first page has lost slots since it was written last: its bounds are computed anew first.
  let rewindsFirst: Bool
  /// The entry that takes token 0 and those after it.
  let entries: UnsafePointer<PageEntry>?
  /// Page addresses of KV head 0; those of the next head follow `columnStride` further.
  let pages: UnsafePointer<UnsafeMutableRawPointer?>?
  let columnStride: Int
  /// Bounds of the pages of KV head 0; those of the next head follow `normStride` further.
  let norms: UnsafeMutablePointer<PageNorms>?
  let normStride: Int
  /// By KV head, what the bounds of a page that had live slots before were, for a step that is given up.
  let savedNorms: UnsafeMutablePointer<SavedNorms>?
  let stepNumber: Int
  let shape: LayerShape
  /// From the start of a plain page to its values, in bytes.
  let valueOffset: Int
  /// Where a page that is written in codes at once keeps its errors; nil for plain pages.
  let codeErrors: UnsafeMutablePointer<PageErrors>?
  let errorStride: Int

  /// Tokens that go to the `page`-th page touched.
  package func tokens(ofPage page: Int) -> Range<Int> {
    let start = unsafe page * PageLayout.slots - firstSlot
    return unsafe max(start, 0)..<min(start + PageLayout.slots, tokenCount)
  }

  /// Writes the tokens of `pages` for one KV head, calling the kernel once per page.
  ///
  /// `touched` counts the pages that the tokens touch and lies in `0..<pageCount`. All rows are given from token
  /// 0 on, whatever is written: keys `[token][kvHead][keyWidth]` with tokens `keyTokenStride` floats apart,
  /// values `[token][kvHead][valueWidth]` likewise, turns R(position − anchor) as
  /// `[token][cos: pairs | sin: pairs]`, not read where keys are stored unturned.
  package func write(
    pages touched: Range<Int>, kvHead: Int, keys: UnsafePointer<Float>, keyTokenStride: Int,
    values: UnsafePointer<Float>, valueTokenStride: Int, turns: UnsafePointer<Float>?
  ) {
    // SAFETY: the reservation made an entry and an address for each page touched; the caller vouches for the rows.
    guard let entries = unsafe entries, let pages = unsafe pages else { return }
    let column = unsafe pages + kvHead * columnStride
    // Pages that are filled in codes are made from plain ones that nobody keeps.
    let staging = unsafe codeErrors == nil ? nil : StagingPage(shape)
    for index in touched {
      let tokens = unsafe tokens(ofPage: index)
      guard let page = unsafe column[Int(entries[index].page)] else { continue }
      let norms = unsafe norms(
        ofPage: Int(entries[index].page), at: page, kvHead: kvHead,
        isNew: index > 0 || firstSlot == 0)
      let slot = unsafe index == 0 ? firstSlot : 0
      let first = tokens.lowerBound
      let pairs = unsafe shape.rotaryPairs
      var task = unsafe SlotTask(
        keys: keys + first * keyTokenStride + kvHead * shape.keyWidth,
        keyTokenStride: keyTokenStride,
        values: values + first * valueTokenStride + kvHead * shape.valueWidth,
        valueTokenStride: valueTokenStride, tokenCount: tokens.count,
        turns: epoch == 0 ? nil : turns.map { unsafe $0 + first * 2 * pairs }, pairs: pairs,
        pairOrder: shape.rotaryPairing == .halves ? .halves : .interleaved,
        page: staging?.page ?? page,
        firstSlot: slot, keyElement: shape.keyType.stored,
        valueElement: shape.valueType.stored, keyWidth: shape.keyWidth,
        valueWidth: shape.valueWidth, valueOffset: staging?.valueOffset ?? valueOffset,
        norms: norms)
      unsafe kernels.writeSlots(&task)
      let errors = unsafe codeErrors.map {
        unsafe $0 + kvHead * errorStride + Int(entries[index].page)
      }
      unsafe staging?.quantize(
        to: page, slots: slot..<slot + tokens.count, norms: norms, errors: errors, kernels: kernels)
    }
  }

  /// Brings in the memory of the pages that the tokens touch, for all KV heads.
  package func populate() {
    // SAFETY: the reservation made an entry and an address for each page touched, and committed its memory.
    guard let entries = unsafe entries, let pages = unsafe pages else { return }
    let pageBytes = unsafe PageLayout(shape.plain).pageBytes
    for kvHead in unsafe 0..<shape.kvHeads {
      for index in unsafe 0..<pageCount {
        guard let page = unsafe pages[kvHead * columnStride + Int(entries[index].page)] else {
          continue
        }
        unsafe Region.populate(UnsafeRawBufferPointer(start: page, count: pageBytes))
      }
    }
  }

  /// The bounds that the tokens written to a page raise: a new page starts from nothing, the old bounds of another
  /// are saved once in a step.
  private func norms(
    ofPage page: Int, at address: UnsafeMutableRawPointer, kvHead: Int, isNew: Bool
  ) -> UnsafeMutablePointer<PageNorms>? {
    // SAFETY: the reservation made room for the page in every column, and for every column in `savedNorms`; like the
    // page itself, its bounds are written by one thread.
    guard let norms = unsafe norms.map({ unsafe $0 + kvHead * normStride + page }) else {
      return nil
    }
    if isNew {
      unsafe norms.pointee = .empty
    } else if let saved = unsafe savedNorms.map({ unsafe $0 + kvHead }),
      unsafe saved.pointee.step != stepNumber
    {
      unsafe saved.pointee = SavedNorms(step: stepNumber, norms: norms.pointee)
      if unsafe rewindsFirst, let entry = unsafe entries?.pointee {
        unsafe norms.pointee = StoredPage(address, shape.plain).norms(
          of: Int(entry.firstSlot)..<firstSlot)
      }
    }
    return unsafe norms
  }
}
