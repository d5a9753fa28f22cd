import Memory

/// A growable run of plain values whose growth can fail with a typed error.
///
/// Growth happens in `reserveCapacity` alone; everything after it neither allocates nor fails, so an
/// operation reserves first and changes state afterwards.
@safe struct GrowingTable<Element: BitwiseCopyable>: ~Copyable {
  private var buffer: Buffer<Element>?
  private var base: UnsafeMutablePointer<Element>?
  private(set) var count = 0
  private(set) var capacity = 0

  init() {
    buffer = nil
    unsafe base = nil
  }

  /// Where the elements lie, until the next growth; nil before the first.
  var address: UnsafeMutablePointer<Element>? { unsafe base }

  /// Makes room for `needed` elements in all, at least doubling.
  mutating func reserveCapacity(_ needed: Int) throws(CacheError) {
    guard needed > capacity else { return }
    let newCapacity = max(needed, 2 * capacity, 16)
    let fresh: Buffer<Element>
    do { fresh = try Buffer<Element>(count: newCapacity) } catch { throw .refused(error) }
    // SAFETY: both buffers hold at least `count` elements and are distinct allocations.
    let destination = unsafe fresh.baseAddress
    if let base = unsafe base { unsafe destination.update(from: base, count: count) }
    unsafe base = destination
    buffer = consume fresh
    capacity = newCapacity
  }

  subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count)
      // SAFETY: the index was just checked; base is set whenever count is positive.
      return unsafe base.unsafelyUnwrapped[index]
    }
    set {
      precondition(index >= 0 && index < count)
      // SAFETY: as above.
      unsafe base.unsafelyUnwrapped[index] = newValue
    }
  }

  /// Appends into capacity that was reserved.
  mutating func append(_ element: Element) {
    insert(element, at: count)
  }

  /// Inserts into capacity that was reserved.
  mutating func insert(_ element: Element, at index: Int) {
    precondition(count < capacity && index >= 0 && index <= count)
    // SAFETY: capacity was just checked, so [index + 1, count] lies in the buffer.
    let place = unsafe base.unsafelyUnwrapped + index
    unsafe (place + 1).update(from: place, count: count - index)
    unsafe place.pointee = element
    count += 1
  }

  mutating func remove(at index: Int) {
    removeSubrange(index..<index + 1)
  }

  mutating func removeSubrange(_ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    guard !range.isEmpty else { return }
    // SAFETY: both ends were just checked against count.
    let place = unsafe base.unsafelyUnwrapped + range.lowerBound
    unsafe place.update(from: place + range.count, count: count - range.upperBound)
    count -= range.count
  }

  mutating func removeLast() {
    precondition(count > 0)
    count -= 1
  }

  /// Sets the number of elements within the capacity; new ones hold `filler`.
  mutating func resize(to newCount: Int, filler: Element) {
    precondition(newCount >= 0 && newCount <= capacity)
    if newCount > count {
      // SAFETY: [count, newCount) lies in the capacity, which was just checked.
      unsafe (base.unsafelyUnwrapped + count).update(repeating: filler, count: newCount - count)
    }
    count = newCount
  }

  /// Lends the elements for writing.
  mutating func withMutableSpan<Failure: Error>(
    _ body: (inout MutableSpan<Element>) throws(Failure) -> Void
  ) throws(Failure) {
    guard let base = unsafe base else { return }
    // SAFETY: the first `count` elements are initialised; the exclusive access to `self` makes this the only view.
    var span = unsafe MutableSpan(_unsafeStart: base, count: count)
    try body(&span)
  }
}
