import Glibc
import TestSupport
import Testing

@testable import Memory

@Suite struct BufferTests {
  @Test(
    "a buffer is aligned, all zero, and keeps what is written",
    arguments: [
      0, 1, 15, 16, 17, 4_096, (2 << 20) / 4 - 1, (2 << 20) / 4, (2 << 20) / 4 + 1, 3_000_000,
    ])
  func contents(count: Int) throws {
    var buffer = try Buffer<Float>(count: count)
    #expect(unsafe UInt(bitPattern: buffer.baseAddress) % 64 == 0)
    let isZero = buffer.withSpan { span in
      span.count == count && span.indices.allSatisfy { span[$0] == 0 }
    }
    #expect(isZero)
    buffer.withMutableSpan { span in
      for index in span.indices { span[index] = Float(index % 1_000) }
    }
    #expect(buffer.withSpan { span in span.indices.allSatisfy { span[$0] == Float($0 % 1_000) } })
  }

  @Test("a size that cannot be had throws", arguments: [1 << 50, Int.max / 8, Int.max])
  func tooLarge(count: Int) {
    #expect(throws: MemoryError.self) { _ = try Buffer<UInt64>(count: count) }
  }

  @Test(
    "where a process may have only so much address space, the last of it is refused: it is for what the runtime allocates",
    .enabled(if: AllocationCount.isAvailable, "a sanitizer's heap ends the process instead"))
  func spareAddressSpace() async {
    await #expect(processExitsWith: .success) {
      let status = try #require(SystemText.read("/proc/self/status"))
      let used = try #require(SystemText.field("VmSize", in: status)) << 10
      var limit = rlimit(
        rlim_cur: rlim_t(used + SystemMemory.spareBytes + (200 << 20)), rlim_max: rlim_t.max)
      try #require(unsafe setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0)
      var kept: [KeptBuffer] = []
      for byteCount in [4 << 20, 100_000] {
        while let next = try? KeptBuffer(byteCount) { kept.append(next) }
      }
      try #require(kept.count > 40 && kept.count < 4_000)
      let room = unsafe mmap(
        nil, SystemMemory.spareBytes - (1 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
      exit(unsafe room == MAP_FAILED ? 1 : 0)
    }
  }
}

/// A buffer in a place that arrays can hold.
private final class KeptBuffer {
  let buffer: Buffer<UInt8>
  init(_ byteCount: Int) throws(MemoryError) { buffer = try Buffer(count: byteCount) }
}
