import Glibc
import Memory
import ModelFiles
import StreamingAttention
import Testing

@testable import attend

@Suite("Exit statuses")
struct ExitStatusTests {
  @Test(
    "a file that the system does not open is 66, unless too many are open already",
    arguments: [(EACCES, .missingFile), (EMFILE, .inputOutput), (ENFILE, .inputOutput)]
      as [(Int32, Memory.ExitStatus)])
  func unreadable(number: Int32, status: Memory.ExitStatus) {
    let error = SnapshotError.file(.unreadable(path: "talk", errno: number))
    #expect(CommandFailure(error).status == status)
    #expect(Memory.ExitStatus(readingFailed: number) == status)
  }

  @Test("so it is for a model")
  func models() {
    let full = ModelFileError.tooManyOpenFiles(path: "model")
    #expect(CommandFailure(full).status == .inputOutput)
    let large = ModelFileError.outOfAddressSpace(path: "model", byteCount: 1 << 42)
    #expect(CommandFailure(large).status == .outOfResources)
    let closed = ModelFileError.unreadable(path: "model", reason: "")
    #expect(CommandFailure(closed).status == .missingFile)
  }

  @Test("a session that is not there is 66, and one that memory has no room for 71")
  func sessions() {
    #expect(CommandFailure(SnapshotError.file(.notFound(path: "talk"))).status == .missingFile)
    let tooLong = SnapshotError.file(.outOfMemory(byteCount: 1 << 42, placement: .anywhere))
    #expect(CommandFailure(tooLong).status == .outOfResources)
  }
}
