/// Where things lie in a file of pages.
///
/// A *shelf* is the page sets of one pool and form: pool 0's plain ones, its ones in codes, pool 1's plain ones …
///
/// A header of 64 bytes; the pages, by shelf `[column][set]`, a column being one layer and KV head, so that what lies in one
/// run in memory does so in the file; then for each shelf and set a record of 24 bytes by column: the checksum of
/// the page, the bounds of its keys' and its values' norms and errors.
struct SegmentLayout: Sendable, Equatable {
  static let headerBytes = 64
  static let recordBytes = 24
  static let magic = Array("attendPG".utf8)

  /// Bytes of a page, `[shelf][column]`.
  let pageBytes: [[Int]]
  /// By shelf.
  let setCounts: [Int]
  /// `[shelf][column]`.
  let columnStarts: [[Int]]
  /// By shelf.
  let recordStarts: [Int]
  let byteCount: Int

  /// Nil where the file would be longer than files are.
  init?(_ pools: [PagePool], setCounts: [Int]) {
    self.setCounts = setCounts
    pageBytes = pools.flatMap { [$0.columnPageBytes(.plain), $0.columnPageBytes(.coded)] }
    var start = Self.headerBytes
    var columnStarts: [[Int]] = []
    for (pageBytes, count) in zip(pageBytes, setCounts) {
      let setBytes = pageBytes.reduce(0) { $0 + $1 + Self.recordBytes }
      guard Double(count) * Double(setBytes) < 0x1p60 - Double(start) else { return nil }
      var columns: [Int] = []
      for bytes in pageBytes {
        columns.append(start)
        start += count * bytes
      }
      columnStarts.append(columns)
    }
    var recordStarts: [Int] = []
    for (pageBytes, count) in zip(pageBytes, setCounts) {
      recordStarts.append(start)
      start += count * pageBytes.count * Self.recordBytes
    }
    (self.columnStarts, self.recordStarts, byteCount) = (columnStarts, recordStarts, start)
  }

  /// The shelf of a pool's page sets of a form.
  static func shelf(ofPool pool: Int, _ form: StoredForm) -> Int {
    2 * pool + (form == .coded ? 1 : 0)
  }

  func pageOffset(shelf: Int, column: Int, set: Int) -> Int {
    columnStarts[shelf][column] + set * pageBytes[shelf][column]
  }

  /// The records of a shelf.
  func records(ofShelf shelf: Int) -> Range<Int> {
    let bytes = setCounts[shelf] * pageBytes[shelf].count * Self.recordBytes
    return recordStarts[shelf]..<recordStarts[shelf] + bytes
  }
}

extension PagePool {
  /// Bytes of a page by column.
  func columnPageBytes(_ form: StoredForm) -> [Int] {
    headCounts.indices.flatMap {
      [Int](
        repeating: pageBytes(layer: $0, isCoded: form == .coded), count: headCounts[$0])
    }
  }

  func setBytes(_ form: StoredForm) -> Int { form == .coded ? codedSetBytes : setBytes }

  func form(of set: Int32) -> StoredForm {
    let set = sets[Int(set)]
    return set.isCoded ? .coded : set.isUncodable ? .uncodable : .plain
  }
}
