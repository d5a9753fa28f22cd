/// How rows and panels are cut into items: consecutive items share their rows.
struct ProductCut {
  /// Rows of a block: enough to use a panel often, few enough that a block stays in the second-level cache.
  let blockRows: Int
  let blockCount: Int
  let panelsPerItem: Int

  init(rowCount: Int, rowBytes: Int, panelCount: Int, workerCount: Int) {
    blockRows = max(12, min(rowCount, (512 << 10) / rowBytes / 12 * 12))
    blockCount = (rowCount + blockRows - 1) / blockRows
    // A handful of items for each worker keeps them level; with few rows, more would only be claimed one by one.
    let handful = min(max(1, panelCount * blockCount / (8 * workerCount)), 16)
    panelsPerItem = min(handful, max(1, 64 / max(1, min(rowCount, blockRows))))
  }

  func rows(ofBlock block: Int, of rowCount: Int) -> Range<Int> {
    block * blockRows..<min((block + 1) * blockRows, rowCount)
  }
}
