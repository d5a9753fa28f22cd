import Foundation
import Synchronization
import TestSupport
import Testing

@testable import StreamingAttention

@Suite struct StepTests {
  @Test(
    "every index comes exactly once, whatever the workers, and all of them take part",
    arguments: 1...8)
  func everyIndexOnce(workerCount: Int) {
    let threads = ProvidedThreads(count: workerCount)
    for count in [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 1_000] {
      threads.workers.resetTakenCounts()
      let record = IndexRecord(count: count)
      #expect(record.run(on: threads.workers))
      #expect(record.timesTaken == Array(repeating: 1, count: count))
      let taken = threads.workers.takenCounts
      #expect(taken.reduce(0, +) == count)
      // With fewer indices than workers some must go without.
      if count >= 2 * workerCount { #expect(taken.allSatisfy { $0 > 0 }, "\(taken)") }
    }
    #expect(threads.stop())
  }

  @Test("with two ends, odd workers take the last indices, each once", arguments: 1...8)
  func twoEnds(workerCount: Int) {
    let threads = ProvidedThreads(count: workerCount)
    for count in [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 1_000] {
      let owners = Mutex([Int](repeating: -1, count: count))
      let record = IndexRecord(count: count) { index, worker in
        owners.withLock { $0[index] = worker }
      }
      #expect(record.run(on: threads.workers, hasTwoEnds: true))
      #expect(record.timesTaken == Array(repeating: 1, count: count))
      let isOdd = owners.withLock { $0.map { $0 & 1 == 1 } }
      #expect(isOdd == isOdd.sorted { !$0 && $1 })
      if count >= 2 * workerCount && workerCount > 1 { #expect(Set(isOdd).count == 2) }
    }
    #expect(threads.stop())
  }

  @Test("many steps after one another lose nothing", arguments: [2, 3, 8])
  func manySteps(workerCount: Int) {
    let threads = ProvidedThreads(count: workerCount, sharing: .firstCome)
    let record = IndexRecord(count: 5)
    for _ in 0..<5_000 { #expect(record.run(on: threads.workers)) }
    #expect(record.timesTaken == Array(repeating: 5_000, count: 5))
  }

  @Test("workers that sleep between steps are woken")
  func parkAndWake() {
    let threads = ProvidedThreads(count: 4)
    for _ in 0..<5 {
      while threads.workers.parkedCount < 3 { usleep(200) }
      threads.workers.resetTakenCounts()
      let record = IndexRecord(count: 100)
      #expect(record.run(on: threads.workers))
      #expect(record.timesTaken == Array(repeating: 1, count: 100))
      #expect(threads.workers.takenCounts.allSatisfy { $0 > 0 })
    }
  }

  @Test(
    "a cancelled step starts no further index and waits for those that run", arguments: [1, 2, 8])
  func cancellation(workerCount: Int) {
    let threads = ProvidedThreads(count: workerCount)
    let flag = CancellationFlag()
    let running = Atomic(0)
    let record = IndexRecord(count: 1_000) { index, _ in
      running.wrappingAdd(1, ordering: .relaxed)
      if index == 20 { flag.cancel() }
      usleep(50)
      running.wrappingSubtract(1, ordering: .relaxed)
    }
    #expect(!record.run(on: threads.workers, cancellation: flag))
    #expect(running.load(ordering: .relaxed) == 0)
    let times = record.timesTaken
    #expect(times[20] == 1 && times.allSatisfy { $0 <= 1 })
    // Each worker may have begun one index between the look at the flag and its being set.
    #expect(times[(21 + 2 * workerCount)...].allSatisfy { $0 == 0 })
    flag.reset()
    let again = IndexRecord(count: 100)
    #expect(again.run(on: threads.workers, cancellation: flag))
    #expect(again.timesTaken == Array(repeating: 1, count: 100))
  }

  @Test("a step that was cancelled before it began touches nothing")
  func cancelledBefore() {
    let threads = ProvidedThreads(count: 3)
    let flag = CancellationFlag()
    flag.cancel()
    let record = IndexRecord(count: 50)
    #expect(!record.run(on: threads.workers, cancellation: flag))
    #expect(record.timesTaken.allSatisfy { $0 == 0 })
  }

  @Test("a flag that is set during the last index leaves a complete step")
  func cancelledInTheLast() {
    let flag = CancellationFlag()
    let record = IndexRecord(count: 10) { index, _ in if index == 9 { flag.cancel() } }
    #expect(record.run(on: Workers(count: 1), cancellation: flag))
    #expect(record.timesTaken.allSatisfy { $0 == 1 })
  }

  @Test("two callers at once both get on, each with all of its indices")
  func concurrentCallers() {
    let threads = ProvidedThreads(count: 3, sharing: .firstCome)
    let records = (0..<4).map { _ in IndexRecord(count: 40) }
    DispatchQueue.concurrentPerform(iterations: 4) { caller in
      for _ in 0..<200 { #expect(records[caller].run(on: threads.workers)) }
    }
    for record in records { #expect(record.timesTaken == Array(repeating: 200, count: 40)) }
  }

  @Test("a second caller does not wait for the first one's step")
  func secondCallerDoesNotWait() {
    let threads = ProvidedThreads(count: 2)
    let gate = DispatchSemaphore(value: 0)
    let isInside = DispatchSemaphore(value: 0)
    let first = IndexRecord(count: 2) { _, _ in
      isInside.signal()
      gate.wait()
    }
    let group = DispatchGroup()
    let caller = Thread { [workers = threads.workers] in
      #expect(first.run(on: workers))
      group.leave()
    }
    group.enter()
    caller.start()
    isInside.wait()
    let second = IndexRecord(count: 10)
    #expect(second.run(on: threads.workers))
    #expect(second.timesTaken == Array(repeating: 1, count: 10))
    gate.signal()
    gate.signal()
    group.wait()
  }

  @Test("a step inside a step runs on its worker's thread")
  func nested() {
    let threads = ProvidedThreads(count: 4)
    let inner = Mutex(0)
    let outer = IndexRecord(count: 16) { [workers = threads.workers] _, _ in
      let record = IndexRecord(count: 8)
      #expect(record.run(on: workers))
      inner.withLock { $0 += record.timesTaken.reduce(0, +) }
    }
    #expect(outer.run(on: threads.workers))
    #expect(inner.withLock { $0 } == 128)
  }

  @Test("after stop, steps run on their caller's thread, and no place is left for others")
  func afterStop() {
    let threads = ProvidedThreads(count: 4)
    #expect(!threads.workers.participate(), "all places are taken")
    #expect(threads.stop())
    threads.workers.resetTakenCounts()
    let record = IndexRecord(count: 20)
    #expect(record.run(on: threads.workers))
    #expect(threads.workers.takenCounts == [20, 0, 0, 0])
  }

  @Test(
    "a step neither allocates nor retains, on any of its threads",
    .enabled(if: AllocationCount.isAvailable && RetainCount.isAvailable))
  func noAllocation() throws {
    let threads = ProvidedThreads(count: 3, sharing: .firstCome)
    // [worker][allocations, retains] of its thread, at its latest index.
    var readings = [Int](repeating: 0, count: 2 * threads.workers.count)
    let flag = CancellationFlag()
    func step() {
      // SAFETY: worker w writes elements 2w and 2w + 1 only, and `run` returns when the last body has.
      unsafe readings.withUnsafeMutableBytes { bytes in
        let isComplete = unsafe threads.workers.run(
          64, context: bytes.baseAddress.unsafelyUnwrapped, cancellation: flag
        ) { readings, _, worker in
          let own = unsafe readings.assumingMemoryBound(to: Int.self) + 2 * worker
          unsafe own[0] = AllocationCount.ofThisThread
          unsafe own[1] = RetainCount.ofThisThread
        }
        precondition(isComplete)
      }
    }
    while threads.workers.takenCounts.contains(0) { step() }
    // A copy of its own, so that writing `readings` copies nothing.
    let before = readings.map { $0 }
    let own = AllocationCount.ofThisThread
    let ownRetains = RetainCount.ofThisThread
    for _ in 0..<100 { step() }
    let allocations = AllocationCount.ofThisThread
    let retains = RetainCount.ofThisThread
    #expect(allocations == own)
    #expect(readings[2] == before[2] && readings[4] == before[4])
    // Code that is not optimised retains in passing.
    #if !DEBUG
    #expect(retains == ownRetains)
    #expect(readings[3] == before[3] && readings[5] == before[5])
    #endif
  }
}
