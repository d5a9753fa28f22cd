import TestSupport
import Testing

@Suite("The heap is counted")
struct AllocationCountTests {
  @Test("an array that grows is seen", .enabled(if: AllocationCount.isAvailable))
  func arraysAreCounted() {
    var arrays: [[Int]] = []
    arrays.reserveCapacity(10)
    let count = AllocationCount.during {
      for length in 1...10 { arrays.append(Array(repeating: length, count: length)) }
    }
    #expect(count == 10)
    #expect(arrays.count == 10)
  }

  @Test("arithmetic on an array allocates nothing")
  func arithmeticIsFree() {
    var values = (0..<1_000).map(Double.init)
    let count = AllocationCount.during {
      for index in values.indices { values[index] = values[index].squareRoot() }
    }
    #expect(count == 0)
    #expect(values[4] == 2)
  }

  @Test("a reference that is kept is seen", .enabled(if: RetainCount.isAvailable))
  func retainsAreCounted() {
    let kept = Holder()
    var holders: [Holder] = []
    holders.reserveCapacity(4)
    let count = RetainCount.during {
      for _ in 0..<4 { holders.append(kept) }
    }
    #expect(count >= 4)
    #expect(holders.count == 4)
  }

  private final class Holder: Sendable {}
}
