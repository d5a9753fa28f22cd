/// Where things lie in a file of pages.
///
/// A header of 64 bytes; the pages, by pool `[column][set]`, a column being one layer and KV head, so that what lies in one
/// run in memory does so in the file; then for each pool and set a record of 16 bytes by column: the checksum of
/// the page, the bounds of its keys' and its values' norms.
struct SegmentLayout: Sendable, Equatable {
  static let headerBytes = 64
  static let recordBytes = 16
  static let magic = Array("attendPG".utf8)

  /// Bytes of a page, `[pool][column]`.
  let pageBytes: [[Int]]
  let setCounts: [Int]
  /// `[pool][column]`.
  let columnStarts: [[Int]]
  /// By pool.
  let recordStarts: [Int]
  let byteCount: Int

  /// Nil where the file would be longer than files are.
  init?(_ pools: [PagePool], setCounts: [Int]) {
    self.setCounts = setCounts
    pageBytes = pools.map(\.columnPageBytes)
    var start = Self.headerBytes
    var columnStarts: [[Int]] = []
    for (pool, count) in zip(pools, setCounts) {
      let needed = Double(count) * Double(pool.setBytes + pool.columnCount * Self.recordBytes)
      guard needed < 0x1p60 - Double(start) else { return nil }
      var columns: [Int] = []
      for bytes in pool.columnPageBytes {
        columns.append(start)
        start += count * bytes
      }
      columnStarts.append(columns)
    }
    var recordStarts: [Int] = []
    for (pool, count) in zip(pools, setCounts) {
      recordStarts.append(start)
      start += count * pool.columnCount * Self.recordBytes
    }
    (self.columnStarts, self.recordStarts, byteCount) = (columnStarts, recordStarts, start)
  }

  func pageOffset(pool: Int, column: Int, set: Int) -> Int {
    columnStarts[pool][column] + set * pageBytes[pool][column]
  }

  /// The records of a pool.
  func records(ofPool pool: Int) -> Range<Int> {
    let bytes = setCounts[pool] * pageBytes[pool].count * Self.recordBytes
    return recordStarts[pool]..<recordStarts[pool] + bytes
  }
}

extension PagePool {
  /// Bytes of a page by column.
  var columnPageBytes: [Int] {
    layouts.indices.flatMap { [Int](repeating: layouts[$0].pageBytes, count: headCounts[$0]) }
  }
}
