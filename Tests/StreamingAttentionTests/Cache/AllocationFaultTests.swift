import Memory
import TestSupport
import Testing

@testable import StreamingAttention

@Suite("Memory refused inside of an operation")
struct AllocationFaultTests {
  /// What is done to a sequence of 300 tokens that a fork shares.
  enum Operation: CaseIterable {
    case append, appendMuch, fork, remove, removeInside, keep, evict, pin, unpin

    func run(_ harness: OperationHarness, _ sequence: SequenceID) throws {
      let cache = harness.cache
      switch self {
      case .append: _ = try harness.append([(sequence, 1)])
      case .appendMuch: _ = try harness.append([(sequence, 3000)])
      case .fork: _ = try cache.fork(sequence)
      case .remove: try cache.remove(20..<120, from: sequence)
      case .removeInside: try cache.remove(200..<210, from: sequence)
      case .keep: try cache.keep(first: 4, last: 200, of: sequence)
      case .evict: _ = try cache.evict(from: sequence, layer: 0, to: 2, by: .recent)
      case .pin: try cache.pin(100..<110, of: sequence)
      case .unpin: try cache.unpin(30..<40, of: sequence)
      }
    }
  }

  /// Sequences whose tables have hardly grown, and a fork.
  private static func start(_ types: [ElementType]) throws -> (OperationHarness, [SequenceID]) {
    let harness = try OperationHarness(seed: 5, types: types)
    let sequence = try harness.cache.makeSequence()
    let other = try harness.cache.makeSequence()
    _ = try harness.append([(sequence, 280), (other, 50)])
    for pin in 0..<8 { try harness.cache.pin(pin * 10..<pin * 10 + 5, of: sequence) }
    for pin in 8..<16 { try harness.cache.pin(pin * 10..<pin * 10 + 5, of: sequence) }
    _ = try harness.append([(sequence, 20)])
    let fork = try harness.cache.fork(sequence)
    try harness.cache.remove(33..<34, from: fork)
    return (harness, [sequence, other, fork])
  }

  @Test(
    "leaves the cache as it was, at every point of it", arguments: Operation.allCases,
    [ElementType.plainCases, [.int8, .int4, .int8]])
  func everyPoint(operation: Operation, types: [ElementType]) throws {
    var refusals = 0
    while true {
      let (harness, sequences) = try Self.start(types)
      let before = harness.cache.fingerprint(includingPages: true)
      let faults = AllocationFaults(failing: refusals + 1)
      do {
        try AllocationFaults.$current.withValue(faults) {
          try operation.run(harness, sequences[0])
        }
        #expect(faults.requestCount <= refusals)
        break
      } catch {
        refusals += 1
        switch error {
        case CacheError.refused, AttentionError.cache(.refused), AttentionError.outOfMemory: break
        default: Issue.record("\(error)")
        }
        #expect(
          harness.cache.fingerprint(includingPages: true) == before, "request \(refusals)")
        #expect(harness.cache.checkInvariants() == [], "request \(refusals)")
        // It works as soon as there is memory.
        try operation.run(harness, sequences[0])
        #expect(harness.cache.checkInvariants() == [])
        for sequence in sequences { try harness.cache.drop(sequence) }
        #expect(
          harness.cache.sequenceCount == (operation == .fork ? 1 : 0)
            && (operation == .fork || harness.cache.byteCount == 0))
      }
    }
    // Each operation asks for memory somewhere, but for those that fit in what there is.
    let least =
      switch operation {
      case .append, .unpin: 0
      case .pin, .evict: 1
      default: 2
      }
    #expect(refusals >= least, "\(operation): \(refusals)")
  }

  @Test("a shared page is not copied beyond the limit; shrinking without sharing needs no memory")
  func limit() throws {
    // A group for each of the three layers is all there is.
    let harness = try OperationHarness(seed: 1, memoryLimit: 6 << 20)
    let cache = harness.cache
    let sequence = try cache.makeSequence()
    var length = 0
    for step in [640, 64, 1] {
      while fits({ _ = try harness.append([(sequence, step)]) }) { length += step }
    }
    #expect(try cache.length(of: sequence) == length && length > 10_000)
    let fork = try cache.fork(sequence)
    var refusals = 0
    for start in stride(from: 70, to: length - 64, by: 64) {
      let before = harness.cache.fingerprint(includingPages: false)
      if !fits({ try cache.remove(start..<start + 1, from: fork) }) {
        refusals += 1
        #expect(harness.cache.fingerprint(includingPages: false) == before)
      }
    }
    #expect(refusals > 0 && cache.checkInvariants() == [])
    try cache.drop(fork)
    let formula = cache.formulaBytes
    for start in stride(from: 70, to: length - 1000, by: 64) {
      try cache.remove(start..<start + 1, from: sequence)
    }
    #expect(cache.formulaBytes == formula && cache.checkInvariants() == [])
    try cache.keep(first: 4, last: 1000, of: sequence)
    _ = try harness.append([(sequence, 640)])
    #expect(cache.checkInvariants() == [])
  }

  /// Whether the memory limit lets an operation through.
  private func fits(_ body: () throws -> Void) -> Bool {
    do { try body() } catch {
      switch error {
      case CacheError.outOfMemory, AttentionError.cache(.outOfMemory): break
      default: Issue.record("\(error)")
      }
      return false
    }
    return true
  }
}
