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
}
