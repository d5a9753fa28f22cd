import Memory

/// Page addresses as `[column][page set]`: a column is one layer and KV head.
///
/// A column is what a kernel indexes by page number. Columns keep their place until the table grows, which
/// only a reservation does.
@safe struct AddressTable: ~Copyable {
  private let columnCount: Int
  private var buffer: Buffer<UInt>?
  private var base: UnsafeMutablePointer<UInt>?
  private(set) var capacity = 0

  init(columnCount: Int) {
    self.columnCount = columnCount
    buffer = nil
    unsafe base = nil
  }

  /// Makes room for `needed` page sets in all, at least doubling.
  mutating func reserveCapacity(_ needed: Int) throws(CacheError) {
    guard needed > capacity else { return }
    let newCapacity = max(needed, 2 * capacity, 64)
    let fresh: Buffer<UInt>
    do { fresh = try Buffer<UInt>(count: newCapacity * columnCount) } catch {
      throw .refused(error)
    }
    // SAFETY: both buffers are `columnCount` columns of their capacity; the new capacity is the larger one.
    let destination = unsafe fresh.baseAddress
    unsafe destination.update(repeating: 0, count: newCapacity * columnCount)
    if let source = unsafe base {
      for column in 0..<columnCount {
        unsafe (destination + column * newCapacity).update(
          from: source + column * capacity, count: capacity)
      }
    }
    unsafe base = destination
    buffer = consume fresh
    capacity = newCapacity
  }

  /// The addresses of one layer and KV head by page number, until the table grows.
  func column(_ column: Int) -> UnsafePointer<UnsafeMutableRawPointer?> {
    precondition(column >= 0 && column < columnCount && capacity > 0)
    // SAFETY: the buffer holds `columnCount · capacity` words; a word and an optional pointer have one layout.
    return unsafe UnsafeRawPointer(pointer(column, 0)).assumingMemoryBound(
      to: UnsafeMutableRawPointer?.self)
  }

  subscript(column: Int, page: Int) -> UnsafeMutableRawPointer {
    get {
      precondition(column >= 0 && column < columnCount && page >= 0 && page < capacity)
      // SAFETY: both indices were just checked; pages in use have an address.
      return unsafe UnsafeMutableRawPointer(bitPattern: pointer(column, page).pointee)
        .unsafelyUnwrapped
    }
    set {
      precondition(column >= 0 && column < columnCount && page >= 0 && page < capacity)
      // SAFETY: both indices were just checked.
      unsafe pointer(column, page).pointee = UInt(bitPattern: newValue)
    }
  }

  private func pointer(_ column: Int, _ page: Int) -> UnsafeMutablePointer<UInt> {
    guard let base = unsafe base else { preconditionFailure("table without room") }
    return unsafe base + column * capacity + page
  }
}
