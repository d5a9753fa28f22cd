import Foundation
import TestSupport
import Testing

@testable import Memory

@Suite struct MappedFileTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test(
    "a range of a mapped file holds the file's bytes", arguments: [1, 4_095, 4_096, 4_097, 100_000])
  func ranges(byteCount: Int) throws {
    let bytes = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    let file = try MappedFile(path: folder.write(bytes, to: "bytes"))
    #expect(file.byteCount == byteCount)
    for range in [0..<byteCount, byteCount / 3..<byteCount / 2, byteCount..<byteCount] {
      let same = file.withBytes(in: range) { span in
        span.byteCount == range.count
          && range.indices.allSatisfy {
            unsafe span.unsafeLoad(fromByteOffset: $0 - range.lowerBound, as: UInt8.self)
              == bytes[$0]
          }
      }
      #expect(same)
    }
  }

  @Test("an empty file is allowed")
  func empty() throws {
    let file = try MappedFile(path: folder.write("", to: "empty"))
    #expect(file.byteCount == 0)
    #expect(file.withBytes(in: 0..<0) { $0.byteCount } == 0)
  }

  @Test("what is not a readable file is named")
  func refusals() throws {
    let missing = folder.path + "/missing"
    #expect(throws: MemoryError.notFound(path: missing)) { _ = try MappedFile(path: missing) }
    let below = try folder.write("x", to: "file") + "/below"
    #expect(throws: MemoryError.notFound(path: below)) { _ = try MappedFile(path: below) }
    #expect(throws: MemoryError.isDirectory(path: folder.path)) {
      _ = try MappedFile(path: folder.path)
    }
    #expect(throws: MemoryError.notRegularFile(path: "/dev/null")) {
      _ = try MappedFile(path: "/dev/null")
    }
    let pipe = folder.path + "/pipe"
    #expect(unsafe mkfifo(pipe, 0o600) == 0)
    #expect(throws: MemoryError.notRegularFile(path: pipe)) { _ = try MappedFile(path: pipe) }
    let closed = try folder.write("secret", to: "closed")
    #expect(unsafe chmod(closed, 0) == 0)
    if geteuid() != 0 {
      #expect(throws: MemoryError.unreadable(path: closed, errno: EACCES)) {
        _ = try MappedFile(path: closed)
      }
    }
  }

  @Test("bytes beyond the end are a bug")
  func beyondTheEnd() async {
    await #expect(processExitsWith: .failure) {
      let file = try MappedFile(path: "/proc/self/exe")
      file.withBytes(in: 0..<file.byteCount + 1) { _ in }
    }
  }

  @Test("errors are one line that names the file")
  func descriptions() {
    let error = MemoryError.unreadable(path: "model.gguf", errno: EACCES)
    #expect(error.description == "model.gguf: cannot be read: Permission denied")
    #expect(MemoryError.notFound(path: "a").description == "a: no such file")
  }
}
