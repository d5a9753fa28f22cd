import Benchmarking
import Generation
import StreamingAttention
import Testing

@testable import Stress

/// What a cache must spare, give back and refuse, and that the run would notice if it did otherwise.
@Suite("Pins, gaps and windows beside their twin")
struct PinAndWindowTests {
  private let flag = CancellationFlag()

  private func subject(window: Int? = nil, tokens: Int = 1_000) throws -> StressSubject {
    var options = StressOptions(.soak, threads: 1, instructionSet: .detected)
    options.shape = AttentionShape(queryHeads: 2, kvHeads: 1, headDimension: 32)
    options.layers = 1
    let subject = try StressSubject(options, window: window)
    try subject.add(startingAt: 50)
    try append(tokens, to: subject)
    return subject
  }

  private func append(_ count: Int, to subject: StressSubject) throws {
    var random = SplitMix64(seed: 3)
    _ = try subject.step(
      [StepWork(index: 0, appended: count, asks: true)], random: &random, cancellation: flag)
  }

  @Test("a pinned page survives policies, sinks and windows, until it is no longer pinned")
  func survival() throws {
    let subject = try subject()
    try subject.pin(70..<80, of: 0)
    #expect(try subject.evict(0, to: 2, by: .recent) == 14)
    #expect(subject.pairs[0].list.liveCount == 64 + 1_000 % 64)
    #expect(try subject.keep(first: 4, last: 30, of: 0))
    #expect(subject.pairs[0].list.pinned == [4..<14] && subject.pairs[0].list.count == 44)
    try subject.checkBooks()
    try subject.unpin(0..<44, of: 0)
    #expect(try subject.keep(first: 0, last: 30, of: 0))
    #expect(subject.pairs[0].list.count == 30)
    try subject.checkBooks()

    let windowed = try self.subject(window: 100)
    try windowed.pin(950..<951, of: 0)
    try append(1_000, to: windowed)
    // The pinned page, and what lies up to a page before the window's first.
    let list = windowed.pairs[0].list
    #expect(!list.areEvicted[950] && (200 + 64..<100 + 4 * 64).contains(list.liveCount))
    try windowed.unpin(0..<2_000, of: 0)
    try append(1, to: windowed)
    #expect(windowed.pairs[0].list.areEvicted[950])
    try windowed.checkBooks()
  }

  @Test(
    "a pin that the cache ignores is found, by the books and by what goes",
    arguments: [false, true])
  func ignoredPins(hasWindow: Bool) throws {
    let subject = try subject(window: hasWindow ? 100 : nil)
    try subject.pin(900..<910, of: 0)
    try subject.checkBooks()
    try subject.cache.unpin(900..<910, of: subject.pairs[0].id)
    #expect(throws: StressError.self) { try subject.checkBooks() }
    #expect(throws: StressError.self) {
      if hasWindow {
        try append(400, to: subject)
      } else {
        _ = try subject.evict(0, to: 1, by: .recent)
      }
    }
  }

  @Test("pages that stay behind a window, and tokens that go unseen, are found")
  func releases() throws {
    let kept = try subject(window: 100)
    try kept.cache.pin(900..<901, of: kept.pairs[0].id)
    #expect(throws: StressError.self) { try append(400, to: kept) }

    let evicted = try subject()
    try evicted.cache.evict(pages: [3], from: evicted.pairs[0].id, layer: 0)
    #expect(throws: StressError.self) { try evicted.checkBooks() }
  }

  @Test("what must be refused is refused, and a rewind goes on with the length that is named")
  func refusals() throws {
    let evicted = try subject()
    #expect(try evicted.evict(0, to: 2, by: .recent) == 14)
    try evicted.truncate(0, to: 500)
    #expect(evicted.pairs[0].list.count == 14 * 64 + 1)
    try evicted.checkBooks()

    let windowed = try subject(window: 300)
    let gap = try #require(windowed.pairs[0].list.areEvicted.lastIndex(of: true))
    #expect(try !windowed.remove(700..<900, from: 0))
    #expect(try !windowed.remove(700..<1_000, from: 0))
    #expect(try !windowed.keep(first: 4, last: 290, of: 0))
    try windowed.checkBooks()
    try windowed.truncate(0, to: 800)
    // The next token sees 299 more, and the newest one would miss one of its own.
    #expect(windowed.pairs[0].list.count == gap + 300)
    #expect(!windowed.pairs[0].list.isWhole(window: 300))
    try append(1, to: windowed)
    #expect(windowed.pairs[0].list.isWhole(window: 300))
    try windowed.checkOracle(0, layer: 0, kvHead: 0, number: 1, flag)
    try windowed.checkBooks()
  }

  @Test(
    "behind a window of any length a sequence can be rewound, and asks",
    arguments: [1, 2, 3, 63, 64, 65])
  func shortWindows(window: Int) throws {
    let subject = try subject(window: window)
    let gap = try #require(subject.pairs[0].list.areEvicted.lastIndex(of: true))
    try subject.truncate(0, to: 1)
    #expect(subject.pairs[0].list.count == gap + max(window, 2))
    try append(1, to: subject)
    try subject.checkOracle(0, layer: 0, kvHead: 0, number: 1, flag)
    try append(200, to: subject)
    try subject.checkBooks()
  }

  @Test("a refusal that nothing calls for is a failed check, and memory that ends is none")
  func strangeRefusals() throws {
    let subject = try subject()
    try subject.cache.drop(subject.pairs[0].id)
    for body in [{ try append(1, to: subject) }, { try subject.rebase(0, by: 1) }] {
      let error = #expect(throws: StressError.self) { try body() }
      guard case .failed(let reason)? = error else {
        Issue.record("\(String(describing: error))")
        continue
      }
      #expect(reason.contains("has refused"))
    }
    #expect(StressError(CacheError.outOfMemory(needed: 2, allowed: 1)).isOutOfMemory)
    #expect(StressError(AttentionError.cancelled) == .stopped(.interrupted))
  }

  @Test("a refusal after which another sequence is not as it was is found")
  func refusedChanges() throws {
    let subject = try subject()
    try subject.add(startingAt: 9)
    let (cache, other, refusal) = (subject.cache, subject.pairs[1].id, CacheError.windowedLayer(0))
    #expect(try !subject.edit(0, refusal: refusal) { () throws(CacheError) in throw refusal })
    #expect(throws: StressError.self) {
      try subject.edit(0, refusal: refusal) { () throws(CacheError) in
        try cache.rebase(other, by: 5)
        throw refusal
      }
    }
  }

  @Test("recent leaves the newest pages and pinned ones, and another page that goes is found")
  func wrongPages() throws {
    for (gone, policy) in [([0, 2], StressPolicy.recent), ([2], .recent), ([2], .heavyHitters)] {
      let subject = try subject()
      try subject.pin(70..<80, of: 0)
      let before = try subject.pages(of: subject.pairs[0])
      try subject.cache.evict(pages: gone, from: subject.pairs[0].id, layer: 0)
      func follow() throws {
        try subject.followEviction(
          of: 0, from: before, to: before.count - gone.count, by: policy, gone: gone.count)
      }
      if policy == .recent, gone == [2] {
        #expect(throws: StressError.self) { try follow() }
      } else {
        try follow()
        try subject.checkBooks()
      }
    }
  }

  @Test("a refusal that is missing is found")
  func missingRefusals() throws {
    let subject = try subject()
    #expect(try subject.evict(0, to: 2, by: .recent) == 14)
    // The list believes that token 500 has gone; in this cache nothing has.
    let whole = try self.subject()
    whole.pairs[0].list = subject.pairs[0].list
    #expect(throws: StressError.self) { try whole.truncate(0, to: 500) }
    // And the other way round.
    subject.pairs[0].list = try self.subject().pairs[0].list
    #expect(throws: StressError.self) { try subject.truncate(0, to: 500) }
  }
}
