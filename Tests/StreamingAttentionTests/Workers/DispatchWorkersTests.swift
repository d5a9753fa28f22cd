import Foundation
import Memory
import Synchronization
import Testing

@testable import StreamingAttention

@Suite(.serialized) struct DispatchWorkersTests {
  /// Keeps every worker busy for a while, so that a second one comes to help where there is a second CPU.
  private static func busyRecord(_ count: Int = 400, microseconds: Int = 100) -> IndexRecord {
    IndexRecord(count: count) { _, _ in
      let end = ContinuousClock.now + .microseconds(microseconds)
      while ContinuousClock.now < end {}
    }
  }

  @Test("a block on a Dispatch queue takes its part and goes back after a second without work")
  func helpersComeAndGo() {
    let workers = Workers(count: 2)
    Self.runUntilHelped(workers)
    #expect(workers.takenCounts[1] > 0)
    #expect(workers.liveCount == 1)
    usleep(1_500_000)
    #expect(workers.liveCount == 0)
    workers.resetTakenCounts()
    Self.runUntilHelped(workers)
    #expect(workers.takenCounts[1] > 0, "it is started again")
  }

  /// Runs until the second worker has taken a part, 10 s at most: other suites may hold the CPUs when its thread would begin.
  private static func runUntilHelped(
    _ workers: Workers, _ makeRecord: () -> IndexRecord = { busyRecord() }
  ) {
    let end = ContinuousClock.now + .seconds(10)
    repeat {
      let record = makeRecord()
      #expect(record.run(on: workers))
      #expect(record.timesTaken.allSatisfy { $0 == 1 })
    } while workers.takenCounts[1] == 0 && ContinuousClock.now < end
  }

  @Test("a worker runs on its node's CPUs, and its thread gets the old ones back")
  func affinity() throws {
    let before = try #require(ThreadAffinity.current)
    let allowed = before.cpus
    let node = Topology.Node(number: 0, cpus: [allowed[0]], memoryBytes: 1 << 30)
    let topology = Topology(nodes: [node], allowedCPUs: allowed)
    let workers = Workers(count: 2, topology: topology)
    let seen = Mutex<[Int: [Int]]>([:])
    let threads = Mutex<Set<UInt>>([])
    Self.runUntilHelped(workers) {
      IndexRecord(count: 200) { _, worker in
        if worker > 0 { threads.withLock { _ = $0.insert(UInt(pthread_self())) } }
        seen.withLock { $0[worker] = ThreadAffinity.current?.cpus }
        usleep(100)
      }
    }
    #expect(seen.withLock { $0[0] } == allowed, "the caller is not pinned")
    #expect(seen.withLock { $0[1] } == [allowed[0]])
    #expect(ThreadAffinity.current == before)
    workers.stop()
    while workers.liveCount > 0 { usleep(1_000) }
    // The pool hands its threads out again: none may still be confined.
    let group = DispatchGroup()
    let queue = DispatchQueue(label: "check", qos: .userInteractive, attributes: .concurrent)
    let confined = Mutex(0)
    for _ in 0..<16 {
      queue.async(group: group) {
        if ThreadAffinity.current != before { confined.withLock { $0 += 1 } }
        usleep(1_000)
      }
    }
    group.wait()
    #expect(confined.withLock { $0 } == 0)
  }

  @Test("idle workers use no CPU after 5 ms")
  func idleWorkersSleep() {
    let threads = ProvidedThreads(count: 4)
    let record = IndexRecord(count: 100)
    var (idle, busy) = (0, 0)
    for _ in 0..<5 {
      #expect(record.run(on: threads.workers))
      usleep(5_000)
      idle += threads.workers.parkedCount
      busy += 3 - threads.workers.parkedCount
      usleep(100_000)
      #expect(threads.workers.parkedCount == 3)
    }
    // Other suites may hold the CPUs just then, hence not all of them.
    #expect(idle >= busy)
  }

  @Test(
    "in a long step, and in many short ones, tasks and global queues start within 50 ms, 5 of 5 times",
    arguments: [(100_000, 200), (32, 20)])
  func othersGetOn(indices: Int, microseconds: Int) async {
    // A block for every CPU beside the caller: as many as Dispatch starts of one quality of service.
    let workers = Workers(count: Topology.current.defaultWorkerCount + 1)
    let flag = CancellationFlag()
    let isOver = DispatchGroup()
    isOver.enter()
    let caller = Thread {
      let record = Self.busyRecord(indices, microseconds: microseconds)
      // An end of its own, so that a failure is late and not missing.
      let end = ContinuousClock.now + .seconds(10)
      while ContinuousClock.now < end && record.run(on: workers, cancellation: flag) {}
      isOver.leave()
    }
    caller.start()
    while workers.takenCounts[1] == 0 { usleep(1_000) }
    for _ in 0..<5 {
      let clock = ContinuousClock()
      let asked = clock.now
      let task = await Task.detached { clock.now - asked }.value
      #expect(task < .milliseconds(50))
      let askedAgain = clock.now
      let block = await withCheckedContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(returning: clock.now - askedAgain) }
      }
      #expect(block < .milliseconds(50))
      // Asked again when the first answer's thread has gone to sleep.
      try? await Task.sleep(for: .milliseconds(20))
    }
    #expect(workers.takenCounts[1] > 0)
    flag.cancel()
    await withCheckedContinuation { continuation in
      isOver.notify(queue: .global()) { continuation.resume() }
    }
  }

  @Test("one worker means no other thread")
  func oneWorker() {
    let workers = Workers(count: 1)
    let own = UInt(pthread_self())
    let others = Mutex(0)
    let record = IndexRecord(count: 100) { _, worker in
      if worker != 0 || UInt(pthread_self()) != own { others.withLock { $0 += 1 } }
    }
    #expect(record.run(on: workers))
    #expect(others.withLock { $0 } == 0)
    #expect(workers.liveCount == 0)
  }

  @Test("workers that are let go end their blocks")
  func deinitStops() {
    weak var crew: Crew?
    do {
      let workers = Workers(count: 2)
      #expect(Self.busyRecord(50).run(on: workers))
      crew = workers.crew
      #expect(crew != nil)
    }
    let deadline = ContinuousClock.now + .seconds(20)
    while crew != nil && ContinuousClock.now < deadline { usleep(1_000) }
    #expect(crew == nil)
  }
}
