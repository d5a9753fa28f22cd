import StreamingAttention
import Testing

@Suite("Pages and extents")
struct PageLayoutTests {
  @Test(
    "a page's bytes follow from its widths and types",
    arguments: [
      // (key width, value width, key type, value type, value offset, page bytes)
      (64, 64, ElementType.float16, ElementType.float16, 8_192, 16_384),
      (128, 128, .bfloat16, .bfloat16, 16_384, 32_768),
      (59, 59, .bfloat16, .bfloat16, 7_680, 15_872),  // 60 key rows, 64 value columns
      (59, 59, .float32, .float16, 15_104, 23_296),  // 59 key rows
      (96, 80, .float16, .float32, 12_288, 32_768),
      (1, 1, .float16, .float16, 128, 2_176),  // one key row, one panel of 16
      (1, 1, .bfloat16, .bfloat16, 256, 2_304),
      (192, 130, .float16, .float16, 24_576, 43_008),  // panels of 64, 64 and 16
    ])
  func pageBytes(_ k: Int, _ v: Int, _ kt: ElementType, _ vt: ElementType, _ at: Int, _ all: Int) {
    let layout = PageLayout(
      LayerShape(
        kvHeads: 1, keyWidth: k, valueWidth: v, keyType: kt, valueType: vt, keyPositions: .none))
    #expect(layout.valueOffset == at)
    #expect(layout.pageBytes == all)
    #expect(layout.valueOffset % 64 == 0 && layout.pageBytes % 64 == 0)
  }

  @Test("a growing sequence takes extents of 1, 1, 2, 4, 8, 16, 32, 32 … pages")
  func growingExtents() {
    #expect(extents(to: 128, from: 0, largest: 32).prefix(9) == [1, 1, 2, 4, 8, 16, 32, 32, 32])
  }

  @Test("a sequence that begins at an odd entry doubles as its numbers and its pages allow")
  func forkedExtents() {
    // Entries 5, 6, 7, 8, 10, 12, 16, 24, 32, 48, 64: divisible by the size, and no larger than what was written.
    #expect(extents(to: 96, from: 5, largest: 32) == [1, 1, 1, 2, 2, 4, 8, 8, 16, 16, 32])
  }

  @Test("extents of a table with a window hold at most a quarter of the window's pages")
  func windowExtents() {
    #expect(ExtentRule.largestExtent(.everything) == 32)
    let largest = [1, 64, 255, 256, 512, 1_024, 4_096, 8_192, 131_072].map {
      ExtentRule.largestExtent(.window($0))
    }
    #expect(largest == [1, 1, 1, 1, 2, 4, 16, 32, 32])
    #expect(extents(to: 20, from: 0, largest: 4) == [1, 1, 2, 4, 4, 4, 4])
  }

  @Test("an extent is the largest power of two that divides its first number and keeps the bounds")
  func everyExtent() {
    for largest in [1, 2, 4, 8, 16, 32] {
      for (first, written) in (0..<130).flatMap({ first in (0..<70).map { (first, $0) } }) {
        let fitting = [1, 2, 4, 8, 16, 32].last {
          first % $0 == 0 && $0 <= max(written, 1) && $0 <= largest
        }
        let pageCount = ExtentRule.pageCount(
          firstEntry: first, pagesWritten: written, largest: largest)
        #expect(pageCount == fitting, "entry \(first), \(written) written, \(largest) at most")
      }
    }
  }

  @Test("leaves hold 16 entries while at most 128 are live, 32 beyond")
  func leaves() {
    #expect(
      [0, 1, 64, 65, 128, 129, 4_096].map(SummationOrder.leafEntries(liveEntries:))
        == [16, 16, 16, 16, 16, 32, 32])
  }

  private func extents(to end: Int, from start: Int, largest: Int) -> [Int] {
    var sizes: [Int] = []
    var entry = start
    while entry < end {
      sizes.append(
        ExtentRule.pageCount(firstEntry: entry, pagesWritten: entry - start, largest: largest))
      entry += sizes[sizes.count - 1]
    }
    return sizes
  }
}
