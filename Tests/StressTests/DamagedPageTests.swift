import Benchmarking
import Generation
import KernelTable
import Testing

@testable import StreamingAttention
@testable import Stress

/// Pages of a quantised cache that are not what they should be, in all the ways that a cache could get wrong.
@Suite("A damaged page of a quantised cache")
struct DamagedPageTests {
  enum Damage: CaseIterable {
    /// Two pages have changed places.
    case swapped
    /// One channel's keys have twice their scale.
    case keyScale
    /// One channel's values have another zero.
    case valueZero
    /// A key's code is another one.
    case code
    /// The page records less error than it has.
    case error
    /// It records more than its codes can be off.
    case largeError
  }

  private static let types: [StoredTypes] = [
    StoredTypes(key: .int8, value: .int8), StoredTypes(key: .int8, value: .int4),
    StoredTypes(key: .int4, value: .int4),
  ]

  private func subject(_ types: StoredTypes) throws -> StressSubject {
    var options = StressOptions(.ragged, threads: 2, instructionSet: .detected)
    options.shape = AttentionShape(queryHeads: 4, kvHeads: 2, headDimension: 64)
    options.types = types
    let subject = try StressSubject(options)
    try subject.add(startingAt: 262_143 - 4_000)
    var random = SplitMix64(seed: 1)
    for _ in 0..<8 {
      _ = try subject.step(
        [StepWork(index: 0, appended: 500, asks: false)], random: &random,
        cancellation: CancellationFlag())
    }
    return subject
  }

  private func check(_ subject: StressSubject) throws {
    try subject.checkOracle(0, layer: 1, kvHead: 1, number: 3, CancellationFlag())
  }

  @Test("is noticed among sixty others", arguments: types, Damage.allCases)
  func noticed(types: StoredTypes, damage: Damage) throws {
    let subject = try subject(types)
    try check(subject)
    let cache = subject.cache
    let pool = cache.pools[0]
    let layout = cache.codedLayout(ofLayer: 1)
    let pair = subject.pairs[0]
    let table = try cache.state(of: pair.id).tables[0]
    let (page, other) = (Int(table.entries[20].page), Int(table.entries[31].page))
    let column = pool.firstColumns[1] + 1
    #expect(pool.sets[page].isCoded && pool.sets[other].isCoded)
    guard let start = unsafe pool.addresses[column, page],
      let second = unsafe pool.addresses[column, other]
    else {
      Issue.record("a page without an address")
      return
    }
    switch damage {
    case .swapped:
      for byte in 0..<layout.pageBytes {
        let own = unsafe start.load(fromByteOffset: byte, as: UInt8.self)
        let others = unsafe second.load(fromByteOffset: byte, as: UInt8.self)
        unsafe start.storeBytes(of: others, toByteOffset: byte, as: UInt8.self)
        unsafe second.storeBytes(of: own, toByteOffset: byte, as: UInt8.self)
      }
    case .keyScale:
      // The exponent of an f16.
      let scale = unsafe start.load(fromByteOffset: 2 * 5, as: UInt16.self)
      unsafe start.storeBytes(of: scale + 0x400, toByteOffset: 2 * 5, as: UInt16.self)
    case .valueZero:
      // Behind the codes of the first 32 columns and their scales.
      let codes = types.value == .int4 ? 32 * 32 / 2 : 64 * 32
      let place = layout.valueOffset + codes + 2 * 32 + 2 * 7
      let zero = unsafe start.load(fromByteOffset: place, as: UInt16.self)
      unsafe start.storeBytes(of: zero ^ 0x8000, toByteOffset: place, as: UInt16.self)
    case .code:
      let place = 4 * 64 + 300
      let code = unsafe start.load(fromByteOffset: place, as: UInt8.self)
      unsafe start.storeBytes(of: code ^ 0x88, toByteOffset: place, as: UInt8.self)
    case .error: pool.errors[column, page].key *= 0.5
    case .largeError: pool.errors[column, page].value = 40
    }
    #expect(throws: StressError.self) { try check(subject) }
  }

  @Test("is noticed where the answer is that of another page", arguments: types)
  func answers(types: StoredTypes) throws {
    let subject = try subject(types)
    // Another page's values weigh in: 1 of 63.
    subject.damage = { output in
      for index in output.indices { output[index] *= 1.25 }
    }
    #expect(throws: StressError.self) { try check(subject) }
  }
}
