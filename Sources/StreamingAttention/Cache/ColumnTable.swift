import Memory

/// Plain values as `[column][page set]`: a column is one layer and KV head.
///
/// A column is what a kernel or a plan indexes by page number. Columns keep their place until the table grows,
/// which only a reservation does.
@safe struct ColumnTable<Element: BitwiseCopyable>: ~Copyable {
  private let columnCount: Int
  private var buffer: Buffer<Element>?
  private var base: UnsafeMutablePointer<Element>?
  private(set) var capacity = 0

  init(columnCount: Int) {
    self.columnCount = columnCount
    buffer = nil
    unsafe base = nil
  }

  /// Makes room for `needed` page sets in all, at least doubling; what is new is all zero bytes.
  mutating func reserveCapacity(_ needed: Int) throws(CacheError) {
    guard needed > capacity else { return }
    let newCapacity = max(needed, 2 * capacity, 64)
    let fresh: Buffer<Element>
    do { fresh = try Buffer<Element>(count: newCapacity * columnCount) } catch {
      throw .refused(error)
    }
    // SAFETY: both buffers are `columnCount` columns of their capacity; the new capacity is the larger one.
    let destination = unsafe fresh.baseAddress
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

  /// The values of one layer and KV head by page number, until the table grows.
  func column(_ column: Int) -> UnsafeMutablePointer<Element> {
    precondition(column >= 0 && column < columnCount && capacity > 0)
    return unsafe pointer(column, 0)
  }

  subscript(column: Int, page: Int) -> Element {
    get {
      precondition(column >= 0 && column < columnCount && page >= 0 && page < capacity)
      // SAFETY: both indices were just checked.
      return unsafe pointer(column, page).pointee
    }
    set {
      precondition(column >= 0 && column < columnCount && page >= 0 && page < capacity)
      // SAFETY: both indices were just checked.
      unsafe pointer(column, page).pointee = newValue
    }
  }

  private func pointer(_ column: Int, _ page: Int) -> UnsafeMutablePointer<Element> {
    guard let base = unsafe base else { preconditionFailure("table without room") }
    return unsafe base + column * capacity + page
  }
}
