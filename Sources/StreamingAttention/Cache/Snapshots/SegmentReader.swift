import KernelTable
import Memory

/// A file of pages that is read back, by several workers if need be.
struct SegmentReader: Sendable {
  let layout: SegmentLayout
  private static let aheadBytes = 4 << 20

  /// Opened once for all workers: they read at places of their own, and say themselves what is to be read ahead.
  private let file: ReadableFile
  /// `[shelf]`, the bytes of its records.
  private var records: [FileContent] = []

  /// Opens a file and reads its header and its records.
  init(
    _ path: String, _ segment: SnapshotManifest.Segment, of pools: [PagePool]
  ) throws(SnapshotError) {
    guard let layout = SegmentLayout(pools, setCounts: segment.setCounts) else {
      throw .damaged(path: path, offset: 0, reason: "\(segment.setCounts) page sets")
    }
    self.layout = layout
    let file = try SnapshotError.reading { () throws(MemoryError) in
      try ReadableFile(path: path)
    }
    self.file = file
    guard file.byteCount == layout.byteCount else {
      throw .damaged(
        path: path, offset: min(file.byteCount, layout.byteCount),
        reason: "the file has \(file.byteCount) bytes of \(layout.byteCount)")
    }
    let header = try SnapshotError.reading { () throws(MemoryError) in
      try file.bytes(in: 0..<SegmentLayout.headerBytes)
    }
    guard header == SegmentWriter.header(id: segment.id, layout: layout) else {
      throw .damaged(path: path, offset: 0, reason: "it is another file")
    }
    for shelf in layout.setCounts.indices {
      records.append(
        try SnapshotError.reading { () throws(MemoryError) in
          try FileContent(of: file, in: layout.records(ofShelf: shelf))
        })
    }
  }

  private var path: String { file.path }

  /// The records of a set, one for each column; throws unless they have the checksum.
  func record(
    shelf: Int, set: Int, checksum: UInt64
  ) throws(SnapshotError) -> [PageRecord] {
    let columns = layout.pageBytes[shelf].count
    let start = set * columns * SegmentLayout.recordBytes
    let range = start..<start + columns * SegmentLayout.recordBytes
    guard records[shelf].checksum(of: range) == checksum else {
      throw .damaged(
        path: path, offset: layout.recordStarts[shelf] + start,
        reason: "wrong checksum of what describes page set \(set)")
    }
    var reader = ByteReader(records[shelf], in: range)
    var record: [PageRecord] = []
    do throws(ByteReader.Defect) {
      for _ in 0..<columns { record.append(try PageRecord(&reader)) }
    } catch {
      throw .damaged(path: path, offset: layout.recordStarts[shelf] + start, reason: error.reason)
    }
    return record
  }

  /// Fills memory with the pages of consecutive sets, and compares each with its checksum.
  func read(
    shelf: Int, column: Int, sets: Range<Int>, into bytes: inout MutableRawSpan,
    checksums: (Int) -> UInt64
  ) throws(SnapshotError) {
    let offset = layout.pageOffset(shelf: shelf, column: column, set: sets.lowerBound)
    // Pages are read in the order of the file: the disk is kept busy while these are checked.
    let ahead = offset + Self.aheadBytes
    file.expect(ahead..<ahead + bytes.byteCount)
    do throws(MemoryError) { try file.read(at: offset, into: &bytes) } catch {
      throw SnapshotError(reading: error)
    }
    let pageBytes = layout.pageBytes[shelf][column]
    let read = bytes.bytes
    for index in 0..<sets.count {
      let page = read.extracting(index * pageBytes..<(index + 1) * pageBytes)
      guard Checksum.of(page) == checksums(index) else {
        throw .damaged(
          path: path, offset: offset + index * pageBytes,
          reason: "wrong checksum of a page of page set \(sets.lowerBound + index)")
      }
    }
  }
}
