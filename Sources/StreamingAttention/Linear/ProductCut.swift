/// How rows and panels are cut into items: consecutive items share their rows.
struct ProductCut {
  /// Rows of a block: enough to use a panel often, few enough that a block stays in the second-level cache.
  let blockRows: Int
  let blockCount: Int
  let panelsPerItem: Int
  /// Least rows of a block for either end of the items.
  ///
  /// A block widens all panels of codes once more: 96 rows lost 8 % by that, 128 rows 2 %, 192 nothing (SmolLM2, two workers
  /// that share a last-level cache).
  private static let leastHalf = 192

  init(rowCount: Int, rowBytes: Int, panelCount: Int, workerCount: Int) {
    // Workers take items from two ends: with two blocks and more, either end has rows of its own, and what one step leaves in
    // a worker's caches serves the next.
    let half =
      workerCount > 1 && rowCount >= 2 * Self.leastHalf ? (rowCount + 23) / 24 * 12 : rowCount
    blockRows = max(12, min(half, (512 << 10) / rowBytes / 12 * 12))
    blockCount = (rowCount + blockRows - 1) / blockRows
    // A handful of items for each worker keeps them level; with few rows, more would only be claimed one by one.
    let handful = min(max(1, panelCount * blockCount / (8 * workerCount)), 16)
    panelsPerItem = min(handful, max(1, 64 / max(1, min(rowCount, blockRows))))
  }

  func rows(ofBlock block: Int, of rowCount: Int) -> Range<Int> {
    block * blockRows..<min((block + 1) * blockRows, rowCount)
  }
}
