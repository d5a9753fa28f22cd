import Glibc

/// The owner of a fixed number of elements, 64-byte aligned, all bytes zero at first.
///
/// From 2 MiB on it is a mapping of its own in huge pages, whose memory comes with the first touch; below that
/// it lies on the heap. `Element` must have a value whose bytes are all zero.
@safe package struct Buffer<Element: BitwiseCopyable>: ~Copyable {
  package let count: Int
  private let address: UInt
  /// Bytes of the mapping, 0 on the heap.
  private let mappedBytes: Int

  /// Throws `outOfMemory` when the system has too little.
  package init(count: Int) throws(MemoryError) {
    precondition(count >= 0, "a buffer of \(count) elements")
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard !overflow, byteCount < Int.max - SystemMemory.groupBytes else {
      throw .outOfMemory(byteCount: overflow ? Int.max : byteCount, placement: .anywhere)
    }
    guard !AllocationFaults.isDue else {
      throw .outOfMemory(byteCount: byteCount, placement: .anywhere)
    }
    let page = SystemMemory.pageBytes
    let isMapped = byteCount >= SystemMemory.groupBytes
    let roomBytes = isMapped ? (byteCount + page - 1) / page * page : max(byteCount, 64)
    guard let start = isMapped ? Self.map(roomBytes) : Self.allocate(roomBytes) else {
      throw .outOfMemory(byteCount: byteCount, placement: .anywhere)
    }
    self.count = count
    address = start
    mappedBytes = isMapped ? roomBytes : 0
  }

  private static func map(_ byteCount: Int) -> UInt? {
    guard MemoryHeadroom.shared.grants(byteCount, .anywhere),
      let start = SystemMemory.reserve(byteCount)
    else { return nil }
    SystemMemory.adviseHugePages(start, byteCount)
    guard SystemMemory.allow(start, byteCount) else {
      SystemMemory.unmap(start, byteCount)
      return nil
    }
    return start
  }

  private static func allocate(_ byteCount: Int) -> UInt? {
    var start: UnsafeMutableRawPointer?
    // SAFETY: posix_memalign has handed out `byteCount` bytes where it returns 0.
    guard unsafe posix_memalign(&start, 64, byteCount) == 0, let start = unsafe start else {
      return nil
    }
    guard SystemMemory.hasSpareAddressSpace else {
      unsafe free(start)
      return nil
    }
    unsafe memset(start, 0, byteCount)
    return UInt(bitPattern: start)
  }

  deinit {
    if mappedBytes > 0 {
      SystemMemory.unmap(address, mappedBytes)
    } else {
      unsafe free(UnsafeMutableRawPointer(bitPattern: address))
    }
  }

  /// The first element.
  ///
  /// - Precondition: the caller stays within `count` elements and the buffer's life, and keeps the law of exclusivity.
  @unsafe package var baseAddress: UnsafeMutablePointer<Element> {
    // SAFETY: the address came from mmap or posix_memalign, so it is not zero, and holds zeroed elements.
    unsafe UnsafeMutableRawPointer(bitPattern: address).unsafelyUnwrapped
      .assumingMemoryBound(to: Element.self)
  }

  /// Lends the elements for reading.
  package borrowing func withSpan<Result: ~Copyable, Failure: Error>(
    _ body: (Span<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // SAFETY: `self` is borrowed until `body` returns, so the memory lives and nothing writes to it.
    let elements = unsafe UnsafeBufferPointer(start: baseAddress, count: count)
    return try body(unsafe elements.span)
  }

  /// Lends the elements for writing.
  package mutating func withMutableSpan<Result: ~Copyable, Failure: Error>(
    _ body: (inout MutableSpan<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // SAFETY: `self` is held exclusively until `body` returns.
    let elements = unsafe UnsafeMutableBufferPointer(start: baseAddress, count: count)
    var span = unsafe elements.mutableSpan
    return try body(&span)
  }
}

extension Buffer: Sendable where Element: Sendable {}
