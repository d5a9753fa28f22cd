import Synchronization
import Testing

@testable import Memory

@Suite struct MemoryHeadroomTests {
  @Test(
    "the system is asked again after an eighth of what it had, and refuses what would leave too little"
  )
  func asksSparingly() {
    let free = Mutex(1 << 30)
    let asked = Atomic(0)
    let headroom = MemoryHeadroom { _ in
      asked.wrappingAdd(1, ordering: .relaxed)
      return free.withLock { $0 }
    }
    #expect(headroom.grants(2 << 20, .anywhere))
    for _ in 0..<60 { #expect(headroom.grants(2 << 20, .anywhere)) }
    #expect(asked.load(ordering: .relaxed) == 1)
    free.withLock { $0 = 40 << 20 }
    while asked.load(ordering: .relaxed) == 1 { _ = headroom.grants(2 << 20, .anywhere) }
    #expect(headroom.grants(8 << 20, .anywhere), "8 of 40 MiB leave the reserve of 32")
    #expect(!headroom.grants(9 << 20, .anywhere))
    free.withLock { $0 = 1 << 30 }
    #expect(headroom.grants(9 << 20, .anywhere), "a refusal is not for ever")
  }

  @Test("nodes are counted apart, and a silent system refuses nothing")
  func nodesApart() {
    let headroom = MemoryHeadroom { $0 == .node(1) ? 0 : $0 == .node(2) ? nil : 1 << 30 }
    #expect(headroom.grants(1, .node(0)))
    #expect(!headroom.grants(1, .node(1)))
    #expect(headroom.grants(1 << 60, .node(2)))
  }
}
