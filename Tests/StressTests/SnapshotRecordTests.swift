import Benchmarking
import Generation
import StreamingAttention
import TestSupport
import Testing

@testable import Stress

@Suite("What attend stress notes in a snapshot")
struct SnapshotRecordTests {
  private func subject() throws -> StressSubject {
    let options = try StressOptions(
      preset: "snapshot",
      values: [
        "--query-heads": "4", "--kv-heads": "2", "--head-dimension": "32", "--context": "500",
      ], threads: 1, instructionSet: .detected)
    return try StressSubject(options)
  }

  @Test("comes back as it was, and from no other bytes")
  func roundTrip() throws {
    var list = TokenList(base: 261_000)
    list.append(5..<90)
    list.remove(10..<20)
    list.keep(first: 3, last: 70)
    list.pin(4..<9)
    list.evict(20..<40)
    let record = SnapshotRecord(
      number: 7, tokenCount: 90, lists: [list, TokenList()], answers: [3, .max])
    #expect(SnapshotRecord(record.bytes) == record)
    for length in 0..<record.bytes.count {
      #expect(SnapshotRecord(Array(record.bytes.prefix(length))) == nil)
    }
    #expect(SnapshotRecord(record.bytes + [0]) == nil)
  }

  @Test("finds a gap, a pin or a sink that is lost on the way")
  func losses() throws {
    let folder = try TemporaryFolder()
    let own = try subject()
    let flag = CancellationFlag()
    var random = SplitMix64(seed: 1)
    try own.add(startingAt: 7)
    _ = try own.step(
      [StepWork(index: 0, appended: 400, asks: true)], random: &random, cancellation: flag)
    #expect(try own.keep(first: 4, last: 390, of: 0))
    try own.pin(100..<120, of: 0)
    #expect(try own.evict(0, to: 3, by: .recent) > 2)
    let record = try own.record(number: 1, flag)
    let (list, store) = try (record.lists[0], SnapshotStore(path: folder.path + "/cache"))
    #expect(list.liveCount < list.count && list.pinned == [100..<120] && list.sinkCount == 4)
    try store.save(own.cache)

    var whole = TokenList(base: list.base)
    whole.append(list.tokens)
    whole.pin(100..<120)
    whole.makeSinks(4)
    var (unpinned, withoutSinks) = (list, list)
    unpinned.unpin(100..<101)
    withoutSinks.makeSinks(0)
    for wrong in [whole, unpinned, withoutSinks, list] {
      let other = try subject()
      let restored = try store.restore(into: other.cache)
      var noted = record
      noted.lists = [wrong]
      if wrong == list {
        #expect(try other.take(restored, noted, flag) == 2)
      } else {
        #expect(throws: StressError.self) { try other.take(restored, noted, flag) }
      }
    }
  }

  @Test("finds an answer that is another after the restoration, and a sequence that is missing")
  func differences() throws {
    let folder = try TemporaryFolder()
    let own = try subject()
    let flag = CancellationFlag()
    var random = SplitMix64(seed: 1)
    for position in [0, 1_000] {
      try own.add(startingAt: position)
      let index = own.pairs.count - 1
      _ = try own.step(
        [StepWork(index: index, appended: 100, asks: true)], random: &random, cancellation: flag)
    }
    let record = try own.record(number: 1, flag)
    let store = try SnapshotStore(path: folder.path + "/cache")
    try store.save(own.cache)
    for isDamaged in [false, true] {
      let other = try subject()
      let restored = try store.restore(into: other.cache)
      if isDamaged { other.damage = { $0[0] = $0[0].nextUp } }
      if isDamaged {
        #expect(throws: StressError.self) { try other.take(restored, record, flag) }
      } else {
        #expect(try other.take(restored, record, flag) == 3)
      }
    }
    try store.save(own.cache, sequences: [own.pairs[0].id])
    let other = try subject()
    let restored = try store.restore(into: other.cache)
    #expect(throws: StressError.self) { try other.take(restored, record, flag) }
  }
}
