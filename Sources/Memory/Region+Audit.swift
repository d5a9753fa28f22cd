extension Region {
  /// The node on which each small page of a range lies, or nil for a page that holds no memory yet.
  ///
  /// Asked of the kernel with move_pages, so it is the truth whatever was requested. Throws `placementUnknown`
  /// without libnuma.
  ///
  /// - Precondition: the range lies in the region, at multiples of `pageBytes`.
  package borrowing func nodes(of range: Range<Int>) throws(MemoryError) -> [Int?] {
    check(range)
    guard let library = LibNUMA.shared else { throw .placementUnknown }
    let addresses = stride(from: range.lowerBound, to: range.upperBound, by: Self.pageBytes)
      .map { address + UInt($0) }
    guard let nodes = library.nodes(ofPagesAt: addresses) else { throw .placementUnknown }
    return nodes.map { $0 < 0 ? nil : Int($0) }
  }
}
