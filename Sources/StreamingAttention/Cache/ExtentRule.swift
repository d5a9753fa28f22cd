/// How many pages of one (sequence, layer, KV head) lie in consecutive memory.
///
/// Reading runs of 10–32 KiB at a stride loses 15–65 % of the read limit, runs of 512 KiB lose nothing;
/// doubling keeps what a short sequence leaves unused below what it uses.
package enum ExtentRule {
  /// Pages of the largest extent.
  package static let largest = 32

  /// The largest extent of a table: 32 pages, or in a table with a window a quarter of the window's pages.
  ///
  /// Rounded down to a power of two, and at least 1.
  package static func largestExtent(_ retention: Retention) -> Int {
    guard case .window(let length) = retention else { return largest }
    let quarter = (length + PageLayout.slots - 1) / PageLayout.slots / 4
    return powerOfTwo(notAbove: min(max(quarter, 1), largest))
  }

  /// Pages of a new extent: the largest power of two that divides its first entry's number and is not above two bounds.
  ///
  /// The bounds are `largest` and `pagesWritten`, the pages that the sequence has written since it began or
  /// was forked.
  package static func pageCount(firstEntry: Int, pagesWritten: Int, largest: Int) -> Int {
    let divisor = firstEntry == 0 ? largest : 1 << firstEntry.trailingZeroBitCount
    return min(divisor, powerOfTwo(notAbove: min(max(pagesWritten, 1), largest)))
  }

  private static func powerOfTwo(notAbove value: Int) -> Int {
    1 << (Int.bitWidth - 1 - value.leadingZeroBitCount)
  }
}
