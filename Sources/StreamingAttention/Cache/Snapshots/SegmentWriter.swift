import KernelTable
import Memory

/// Writes page sets of a cache into one new file of pages.
struct SegmentWriter: ~Copyable {
  private var file: NewFile
  private let layout: SegmentLayout
  private let pools: [PagePool]
  /// Numbers of the page sets, by shelf, in the order of the file.
  private let sets: [[Int32]]
  private let header: [UInt8]
  /// `[shelf][set][column]`.
  private var checksums: [[UInt64]]

  /// Bytes that one call to the system writes, at least a page: they are checksummed just before, and still in the CPU's caches.
  private static let runBytes = 1 << 19

  /// Creates the file.
  init(
    _ path: String, id: UInt64, sets: [[Int32]], of pools: [PagePool], layout: SegmentLayout
  ) throws(MemoryError) {
    file = try NewFile(creating: path)
    self.layout = layout
    self.pools = pools
    self.sets = sets
    checksums = sets.indices.map {
      [UInt64](repeating: 0, count: layout.pageBytes[$0].count * sets[$0].count)
    }
    header = Self.header(id: id, layout: layout)
  }

  /// The first 64 bytes: magic, version, zeros, number and length; the last eight are their checksum.
  static func header(id: UInt64, layout: SegmentLayout) -> [UInt8] {
    var header = ByteWriter()
    header.append(bytes: SegmentLayout.magic)
    header.append(UInt64(SnapshotManifest.version))
    header.append(id)
    header.append(UInt64(layout.byteCount))
    header.append(bytes: [UInt8](repeating: 0, count: SegmentLayout.headerBytes - 40))
    header.append(Checksum.of(header.bytes))
    return header.bytes
  }

  /// Writes everything and waits for the disk; the checksums of the sets' records, by shelf.
  mutating func write() throws(MemoryError) -> [[UInt64]] {
    try append(header)
    for shelf in sets.indices {
      for column in layout.pageBytes[shelf].indices { try writePages(shelf, column) }
    }
    var sums: [[UInt64]] = []
    for shelf in sets.indices { sums.append(try writeRecords(shelf)) }
    try file.synchronize()
    return sums
  }

  private mutating func append(_ bytes: [UInt8]) throws(MemoryError) {
    try unsafe file.append(bytes.span.bytes)
  }

  /// Writes a column's pages, neighbours in memory at once.
  private mutating func writePages(_ shelf: Int, _ column: Int) throws(MemoryError) {
    let (pool, sets, bytes) = (pools[shelf / 2], sets[shelf], layout.pageBytes[shelf][column])
    var first = 0
    while first < sets.count {
      // SAFETY: a live page set has committed pages of `pageBytes` in every column; runs are of such pages.
      guard let start = unsafe pool.addresses[column, Int(sets[first])] else { return }
      var count = 0
      while first + count < sets.count, count == 0 || (count + 1) * bytes <= Self.runBytes,
        unsafe pool.addresses[column, Int(sets[first + count])] == start + count * bytes
      {
        let page = unsafe UnsafeRawBufferPointer(start: start + count * bytes, count: bytes)
        checksums[shelf][(first + count) * pool.columnCount + column] =
          unsafe Checksum.of(page.bytes)
        count += 1
      }
      let run = unsafe UnsafeRawBufferPointer(start: start, count: count * bytes)
      try file.append(unsafe run.bytes)
      first += count
    }
  }

  /// Writes the records of a shelf's sets; their checksums.
  private mutating func writeRecords(_ shelf: Int) throws(MemoryError) -> [UInt64] {
    let pool = pools[shelf / 2]
    var sums: [UInt64] = []
    for (place, set) in sets[shelf].enumerated() {
      var record = ByteWriter()
      for column in 0..<pool.columnCount {
        PageRecord(
          checksum: checksums[shelf][place * pool.columnCount + column],
          norms: pool.norms[column, Int(set)],
          errors: pool.isQuantized ? pool.errors[column, Int(set)] : .none
        ).write(to: &record)
      }
      sums.append(Checksum.of(record.bytes))
      try append(record.bytes)
    }
    return sums
  }
}
