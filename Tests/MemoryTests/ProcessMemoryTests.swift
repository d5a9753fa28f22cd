import Testing

@testable import Memory

@Suite("Memory of the process")
struct ProcessMemoryTests {
  @Test("what is resident is between a page and all there is")
  func resident() throws {
    let resident = try #require(ProcessMemory.residentBytes)
    let peak = try #require(ProcessMemory.peakResidentBytes)
    #expect(resident > 1 << 20 && peak > 1 << 20)
    #expect(peak < Topology.current.memoryBytes)
  }

  @Test("pages are counted by node, huge ones by their size")
  func nodes() {
    let maps = """
      7f00 default anon=3 dirty=3 N0=1 N1=2 kernelpagesize_kB=4
      7f10 bind:1 huge anon=2 dirty=2 N1=2 kernelpagesize_kB=2048
      7f20 default file=/lib/libc.so mapped=5 N0=5 kernelpagesize_kB=4
      7f30 default
      """
    #expect(
      ProcessMemory.residentBytesByNode(in: maps) == [0: 6 * 4096, 1: 2 * 4096 + 2 * (2 << 20)])
  }
}
