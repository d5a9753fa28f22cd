extension Region {
  /// The node on which each small page of a range lies, or nil for a page that holds no memory yet.
  ///
  /// Asked of the kernel with move_pages, so it is the truth whatever was requested. Throws `placementUnknown`
  /// without libnuma.
  ///
  /// - Precondition: the range lies in the region, at multiples of `pageBytes`.
  package borrowing func nodes(of range: Range<Int>) throws(MemoryError) -> [Int?] {
    check(range)
    return try Self.nodes(
      ofPagesAt: stride(from: range.lowerBound, to: range.upperBound, by: Self.pageBytes)
        .map { address + UInt($0) })
  }

  /// The same for any small pages of this process, given by their addresses.
  package static func nodes(ofPagesAt addresses: [UInt]) throws(MemoryError) -> [Int?] {
    guard let nodes = LibNUMA.shared?.nodes(ofPagesAt: addresses) else { throw .placementUnknown }
    return nodes.map { $0 < 0 ? nil : Int($0) }
  }
}
