import Glibc

/// Every call that maps, protects, advises or unmaps memory.
///
/// All of them speak of page-aligned addresses and whole pages; their callers own the ranges.
enum SystemMemory {
  /// Size of the system's small pages.
  static let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))

  /// Size and alignment of a huge page on x86-64 and on arm64 with 4 KiB pages.
  static let groupBytes = 2 << 20

  /// Address space that a process with a limit (`ulimit -v`) keeps: 16 MiB for small allocations, whose failure the language's runtime
  /// answers by ending the process, even while an error is put into words; and the stacks of threads that start later, one for each CPU and
  /// four more.
  static let spareBytes = (16 << 20) + (sysconf(Int32(_SC_NPROCESSORS_ONLN)) + 4) * stackBytes

  /// Size of a thread's stack where its creator names none.
  private static let stackBytes: Int = {
    var attributes = pthread_attr_t()
    guard unsafe pthread_attr_init(&attributes) == 0 else { return 8 << 20 }
    defer { unsafe pthread_attr_destroy(&attributes) }
    var byteCount = 0
    return unsafe pthread_attr_getstacksize(&attributes, &byteCount) == 0 ? byteCount : 8 << 20
  }()

  /// Whether the process may have only so much address space.
  static var hasLimitedAddressSpace: Bool {
    var limit = rlimit()
    return unsafe getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0
      && limit.rlim_cur < rlim_t(Int.max)
  }

  /// Whether `spareBytes` are left; always where the process has no limit.
  static var hasSpareAddressSpace: Bool {
    guard hasLimitedAddressSpace else { return true }
    guard let start = map(spareBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE) else {
      return false
    }
    unmap(start, spareBytes)
    return true
  }

  /// Address space without access and without memory, aligned to `groupBytes`; nil where too little would be left (`hasSpareAddressSpace`).
  static func reserve(_ byteCount: Int) -> UInt? {
    let (padded, overflow) = byteCount.addingReportingOverflow(groupBytes)
    guard !overflow,
      let start = map(padded, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
    else { return nil }
    let aligned = (start + UInt(groupBytes) - 1) & ~UInt(groupBytes - 1)
    let head = Int(aligned - start)
    if head > 0 { unmap(start, head) }
    if head < groupBytes { unmap(aligned + UInt(byteCount), groupBytes - head) }
    guard hasSpareAddressSpace else {
      unmap(aligned, byteCount)
      return nil
    }
    return aligned
  }

  /// Makes reserved pages readable and writable; false where the system refuses.
  static func allow(_ address: UInt, _ byteCount: Int) -> Bool {
    unsafe mprotect(pointer(address), byteCount, PROT_READ | PROT_WRITE) == 0
  }

  /// Gives the memory back and closes the range again.
  static func giveBack(_ address: UInt, _ byteCount: Int) {
    unsafe madvise(pointer(address), byteCount, MADV_DONTNEED)
    // May fail at the limit of mappings per process; the memory is back all the same.
    unsafe mprotect(pointer(address), byteCount, PROT_NONE)
  }

  /// Asks for huge pages.
  ///
  /// Without transparent huge pages in the kernel it changes nothing.
  static func adviseHugePages(_ address: UInt, _ byteCount: Int) {
    unsafe madvise(pointer(address), byteCount, MADV_HUGEPAGE)
  }

  /// Brings in the memory of readable and writable pages; false where the system does not.
  static func populate(_ address: UInt, _ byteCount: Int) -> Bool {
    unsafe madvise(pointer(address), byteCount, populateForWriting) == 0
  }

  /// MADV_POPULATE_WRITE, which older C libraries do not name.
  private static let populateForWriting: Int32 = 23

  /// Maps a whole file for reading; nil with errno set where the system refuses, or too little would be left (`hasSpareAddressSpace`).
  static func mapFile(_ descriptor: Int32, _ byteCount: Int) -> UInt? {
    let address = unsafe mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard unsafe address != MAP_FAILED else { return nil }
    guard hasSpareAddressSpace else {
      unmap(UInt(bitPattern: address), byteCount)
      errno = ENOMEM
      return nil
    }
    return UInt(bitPattern: address)
  }

  static func unmap(_ address: UInt, _ byteCount: Int) {
    unsafe munmap(pointer(address), byteCount)
  }

  private static func map(_ byteCount: Int, _ protection: Int32, _ flags: Int32) -> UInt? {
    let address = unsafe mmap(nil, byteCount, protection, flags, -1, 0)
    return unsafe address == MAP_FAILED ? nil : UInt(bitPattern: address)
  }

  private static func pointer(_ address: UInt) -> UnsafeMutableRawPointer? {
    unsafe UnsafeMutableRawPointer(bitPattern: address)
  }
}
