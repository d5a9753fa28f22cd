/// Address space reserved once, of which parts hold memory; bound to a node if asked.
///
/// A fresh region costs no memory. `commit` makes a range usable (all zero), `decommit` gives its memory back;
/// addresses never move. Huge pages are asked for throughout, so ranges work best as whole groups of 2 MiB.
/// Where there is only one node, or no libnuma, the node is not looked at.
@safe package struct Region: ~Copyable, Sendable {
  /// Ranges of `commit` and `decommit` start and end at multiples of this.
  package static var pageBytes: Int { SystemMemory.pageBytes }

  /// A huge page; the alignment of `base`.
  package static var groupBytes: Int { SystemMemory.groupBytes }

  /// Reserved bytes, rounded up to whole groups.
  package let byteCount: Int
  /// The node that the region is bound to.
  package let node: Int?
  let address: UInt
  private let numa: LibNUMA?

  /// Reserves address space for at least `byteCount` bytes.
  ///
  /// Throws `outOfAddressSpace` where that is not to be had and `nodeUnavailable` for a node without
  /// memory for this process. Address space of all regions together must stay below 1 TiB under the thread sanitizer.
  package init(reserving byteCount: Int, node: Int? = nil) throws(MemoryError) {
    precondition(byteCount >= 0, "a region of \(byteCount) bytes")
    let groups = byteCount / Self.groupBytes + (byteCount % Self.groupBytes == 0 ? 0 : 1)
    let (rounded, overflow) = max(groups, 1).multipliedReportingOverflow(by: Self.groupBytes)
    let library = LibNUMA.shared
    if let node, let library, !library.allowedNodes.contains(node) {
      throw .nodeUnavailable(node: node, allowed: library.allowedNodes)
    }
    guard !overflow, let start = SystemMemory.reserve(rounded) else {
      throw .outOfAddressSpace(byteCount: byteCount)
    }
    SystemMemory.adviseHugePages(start, rounded)
    self.node = node
    numa = node != nil && (library?.allowedNodes.count ?? 1) > 1 ? library : nil
    self.byteCount = rounded
    address = start
  }

  deinit { SystemMemory.unmap(address, byteCount) }

  /// The first byte, aligned to 2 MiB.
  ///
  /// - Precondition: the caller touches committed ranges only, and none after the region has gone.
  @unsafe package var base: UnsafeMutableRawPointer {
    // SAFETY: `address` came from mmap, so it is not zero.
    unsafe UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
  }

  /// Makes a range readable and writable; what was not committed before reads as zero.
  ///
  /// Committing a range twice changes nothing. Pages come from the region's node, which is set before anything can
  /// touch them; when the node has too little free memory but the machine has enough, this range spills to other
  /// nodes (`nodes(of:)` shows it), since placement is a matter of speed. Throws `outOfMemory` and leaves the region
  /// as it was when the machine or the cgroup has too little.
  ///
  /// - Precondition: the range lies in the region, at multiples of `pageBytes`.
  package borrowing func commit(_ range: Range<Int>) throws(MemoryError) {
    check(range)
    guard !range.isEmpty else { return }
    let start = address + UInt(range.lowerBound)
    let placement = node.map { Placement.node($0) } ?? .anywhere
    guard !AllocationFaults.isDue, MemoryHeadroom.shared.grants(range.count, .anywhere) else {
      throw .outOfMemory(byteCount: range.count, placement: placement)
    }
    if let numa, let node {
      // A bound page that its node cannot give is fatal, so binding is only for what fits.
      let fits = MemoryHeadroom.shared.grants(range.count, .node(node))
      let error = numa.place(start, range.count, on: node, fits ? .bind : .prefer)
      guard error == 0 else { throw .refused(operation: "mbind to node \(node)", errno: error) }
    }
    guard SystemMemory.allow(start, range.count) else {
      throw .outOfMemory(byteCount: range.count, placement: placement)
    }
  }

  /// Brings in the memory behind `bytes`, and of what shares its pages, ahead of the first touch.
  ///
  /// Contents stay as they are. Several threads may do so at once, each for pages of its own: at a first touch all of them would
  /// wait for the one that fills a huge page with zeros.
  ///
  /// False where the system does not know how (before Linux 5.14) or has too little memory.
  ///
  /// - Precondition: the bytes lie in a committed range of a region.
  @discardableResult
  @unsafe package static func populate(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let start = bytes.baseAddress else { return true }
    let mask = UInt(pageBytes) - 1
    let first = UInt(bitPattern: start) & ~mask
    let end = (UInt(bitPattern: start) + UInt(bytes.count) + mask) & ~mask
    return SystemMemory.populate(first, Int(end - first))
  }

  /// Gives a range's memory back to the system; its contents are lost and touching it is a fault.
  ///
  /// - Precondition: the range lies in the region, at multiples of `pageBytes`.
  package borrowing func decommit(_ range: Range<Int>) {
    check(range)
    guard !range.isEmpty else { return }
    SystemMemory.giveBack(address + UInt(range.lowerBound), range.count)
  }

  borrowing func check(_ range: Range<Int>) {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= byteCount
        && range.lowerBound % Self.pageBytes == 0 && range.upperBound % Self.pageBytes == 0,
      "range \(range) of a region of \(byteCount) bytes; multiples of \(Self.pageBytes) are allowed"
    )
  }
}
