import Testing

@testable import Memory

@Suite struct RegionTests {
  @Test("a region costs address space, not memory, until a range is committed")
  func reservingIsFree() throws {
    let region = try Region(reserving: 64 << 30)
    #expect(region.byteCount == 64 << 30)
    #expect(unsafe UInt(bitPattern: region.base) % UInt(Region.groupBytes) == 0)
    let range = 5 * Region.groupBytes..<6 * Region.groupBytes
    try region.commit(range)
    // SAFETY: the range has just been committed.
    let bytes = unsafe UnsafeMutableRawBufferPointer(
      start: region.base + range.lowerBound, count: range.count)
    #expect(unsafe bytes.allSatisfy { $0 == 0 })
    unsafe bytes.initializeMemory(as: UInt8.self, repeating: 7)
    try region.commit(range)
    #expect(unsafe bytes.allSatisfy { $0 == 7 }, "committing twice keeps the contents")
  }

  @Test("what was given back holds no memory, and reads as zero when committed again")
  func decommitGivesBack() throws {
    let region = try Region(reserving: 4 * Region.groupBytes)
    let range = Region.groupBytes..<3 * Region.groupBytes
    try region.commit(range)
    // SAFETY: the range is committed wherever it is touched.
    let bytes = unsafe UnsafeMutableRawBufferPointer(
      start: region.base + range.lowerBound, count: range.count)
    unsafe bytes.initializeMemory(as: UInt8.self, repeating: 9)
    if LibNUMA.shared != nil {
      #expect(try region.nodes(of: range).allSatisfy { $0 != nil })
    }
    region.decommit(range)
    if LibNUMA.shared != nil {
      #expect(try region.nodes(of: range).allSatisfy { $0 == nil })
    }
    try region.commit(range)
    #expect(unsafe bytes.allSatisfy { $0 == 0 })
  }

  @Test("memory comes in ahead of its first touch, and what was written stays")
  func populating() throws {
    let region = try Region(reserving: 2 * Region.groupBytes)
    try region.commit(0..<2 * Region.groupBytes)
    // SAFETY: the range has just been committed.
    let bytes = unsafe UnsafeMutableRawBufferPointer(
      start: region.base, count: 2 * Region.groupBytes)
    unsafe bytes.storeBytes(of: 7, toByteOffset: 0, as: UInt8.self)
    let part = Region.groupBytes + 1..<Region.groupBytes + 3 * Region.pageBytes
    let isThere = unsafe Region.populate(UnsafeRawBufferPointer(rebasing: bytes[part]))
    unsafe Region.populate(UnsafeRawBufferPointer(rebasing: bytes[..<10]))
    if isThere, LibNUMA.shared != nil {
      let pages = Region.groupBytes..<Region.groupBytes + 3 * Region.pageBytes
      #expect(try region.nodes(of: pages).allSatisfy { $0 != nil })
    }
    #expect(unsafe bytes[0] == 7 && bytes[part].allSatisfy { $0 == 0 })
  }

  @Test("sizes round up to whole groups", arguments: [0, 1, 4_096, 2 << 20, (2 << 20) + 1])
  func rounding(byteCount: Int) throws {
    let region = try Region(reserving: byteCount)
    #expect(region.byteCount >= max(byteCount, 1))
    #expect(region.byteCount % Region.groupBytes == 0)
    #expect(region.byteCount - byteCount <= Region.groupBytes)
  }

  @Test("more address space than there is throws", arguments: [Int.max, Int.max / 2, 1 << 50])
  func tooMuch(byteCount: Int) {
    #expect(throws: MemoryError.outOfAddressSpace(byteCount: byteCount)) {
      _ = try Region(reserving: byteCount)
    }
  }

  @Test("committing more than the machine has throws and leaves the region usable")
  func commitBeyondMemory() throws {
    let available = try #require(Topology.availableMemoryBytes)
    let wanted = (available / Region.groupBytes + 1) * Region.groupBytes
    let region = try Region(reserving: wanted)
    #expect(throws: MemoryError.outOfMemory(byteCount: wanted, placement: .anywhere)) {
      try region.commit(0..<wanted)
    }
    try region.commit(0..<Region.pageBytes)
    // SAFETY: the first page has just been committed.
    #expect(unsafe region.base.load(as: UInt64.self) == 0)
  }

  @Test("every page of a region bound to a node lies on it")
  func boundPages() throws {
    guard LibNUMA.shared != nil else { return }
    for node in Topology.current.memoryNodes {
      let region = try Region(reserving: 8 << 20, node: node)
      let range = 0..<6 << 20
      try region.commit(range)
      // SAFETY: the range has just been committed.
      unsafe region.base.initializeMemory(as: UInt8.self, repeating: 1, count: range.count)
      #expect(
        try region.nodes(of: range) == Array(repeating: node, count: range.count / Region.pageBytes)
      )
      #expect(try region.nodes(of: (6 << 20)..<(8 << 20)).allSatisfy { $0 == nil })
    }
  }

  @Test("a node that is not there is named, with those that are")
  func missingNode() throws {
    guard let library = LibNUMA.shared else { return }
    #expect(throws: MemoryError.nodeUnavailable(node: 77, allowed: library.allowedNodes)) {
      _ = try Region(reserving: 1, node: 77)
    }
  }

  @Test("a range that is not whole pages, or beyond the region, is a bug")
  func badRanges() async {
    await #expect(processExitsWith: .failure) {
      let region = try Region(reserving: 1)
      try region.commit(1..<4_096)
    }
    await #expect(processExitsWith: .failure) {
      let region = try Region(reserving: 1)
      try region.commit(0..<4 << 20)
    }
  }
}
