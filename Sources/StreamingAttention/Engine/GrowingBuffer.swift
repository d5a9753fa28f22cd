import Memory

/// A list of plain values that keeps its memory from step to step.
///
/// Once it has held n values, filling it with n values again allocates nothing.
@safe struct GrowingBuffer<Element: BitwiseCopyable>: ~Copyable {
  private var storage: Buffer<Element>
  private(set) var count = 0

  init() throws(AttentionError) {
    storage = try Self.allocate(64)
  }

  private static func allocate(_ count: Int) throws(AttentionError) -> Buffer<Element> {
    do {
      return try Buffer<Element>(count: count)
    } catch {
      let (bytes, overflows) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
      throw .outOfMemory(byteCount: overflows ? .max : bytes)
    }
  }

  /// The first element; valid until the next growth.
  var baseAddress: UnsafeMutablePointer<Element> { unsafe storage.baseAddress }

  /// Values that there is room for.
  var capacity: Int { storage.count }

  mutating func removeAll() { count = 0 }

  /// Makes room for `newCount` values whose contents are not kept.
  mutating func discardAndResize(to newCount: Int) throws(AttentionError) {
    count = 0
    try grow(to: newCount)
    count = newCount
  }

  mutating func append(_ element: Element) throws(AttentionError) {
    try grow(to: count + 1)
    // SAFETY: `grow` made room for index `count`.
    unsafe storage.baseAddress[count] = element
    count += 1
  }

  /// Appends within capacity reserved before.
  mutating func appendReserved(_ element: Element) {
    precondition(count < capacity)
    // SAFETY: checked above.
    unsafe storage.baseAddress[count] = element
    count += 1
  }

  /// Makes room for `newCount` values in all, keeping those there are.
  mutating func reserveCapacity(_ newCount: Int) throws(AttentionError) { try grow(to: newCount) }

  func withSpan<Value, Failure: Error>(_ body: (Span<Element>) throws(Failure) -> Value)
    throws(Failure) -> Value
  {
    // SAFETY: the first `count` values are initialised, and `body` borrows them only.
    try unsafe body(Span(_unsafeStart: storage.baseAddress, count: count))
  }

  mutating func withMutableSpan<Value, Failure: Error>(
    _ body: (inout MutableSpan<Element>) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    // SAFETY: as above; the exclusive access to `self` makes this the only view.
    var span = unsafe MutableSpan(_unsafeStart: storage.baseAddress, count: count)
    return try body(&span)
  }

  subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count)
      // SAFETY: checked above.
      return unsafe storage.baseAddress[index]
    }
    set {
      precondition(index >= 0 && index < count)
      // SAFETY: checked above.
      unsafe storage.baseAddress[index] = newValue
    }
  }

  private mutating func grow(to needed: Int) throws(AttentionError) {
    if needed <= capacity { return }
    let larger = try Self.allocate(max(needed, 2 * capacity))
    // SAFETY: `larger` holds more than `count` values, and the two buffers are distinct.
    unsafe larger.baseAddress.update(from: storage.baseAddress, count: count)
    storage = larger
  }
}
