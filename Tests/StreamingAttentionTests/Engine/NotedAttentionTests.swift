import Glibc
import KernelTable
import TestSupport
import Testing

@testable import StreamingAttention

@Suite("Attention that a step notes")
struct NotedAttentionTests {
  /// What each page should have had, and how far it may be off: the twin's output over values that are 1 in the channel of
  /// their page.
  private static func expected(
    _ example: AttentionCase, _ harness: EngineHarness, _ sequence: SequenceID
  ) throws -> (masses: [Double], bounds: [Double]) {
    let twin = try example.twin()
    var pages: [Range<Int>] = []
    try harness.engine.cache.forEachLiveEntry(of: sequence, table: 0) { pages.append($0.tokens) }
    let first = pages.first?.lowerBound ?? 0
    var masses = [Double](repeating: 0, count: pages.count)
    var bounds = masses
    for kvHead in 0..<example.kvHeads {
      let stored = try harness.storedTokens(sequence, kvHead: kvHead)
      var tokens = ReferenceTokens(keyWidth: example.keyWidth, valueWidth: pages.count)
      for index in 0..<stored.count {
        let page = pages.firstIndex { $0.contains(first + index) }
        tokens.append(
          storedKey: stored.key(index).map { Float($0) },
          value: pages.indices.map { $0 == page ? 1 : 0 }, at: stored.positions[index],
          anchor: stored.anchors[index])
      }
      for row in 0..<example.rows {
        for head in kvHead * example.group..<(kvHead + 1) * example.group {
          let query = Array(
            example.queries(row..<row + 1)[head * example.keyWidth..<(head + 1) * example.keyWidth])
          let answer = twin.row(
            query: query, at: example.base + example.length - example.rows + row, over: tokens,
            slope: harness.layer.alibi.map { Double($0.slopes[head]) } ?? 0,
            sink: harness.layer.sinks.map { Double($0[head]) })
          for page in pages.indices {
            masses[page] += answer.output[page]
            bounds[page] +=
              answer.output[page] * Self.integerBound(query, harness, sequence, kvHead: kvHead)
            // What a horizon leaves unread is missing here and makes the rest larger.
            bounds[page] +=
              answer.outputBound[page] + 2 * Double(harness.report.skippedMassBound) + 1e-7
          }
        }
      }
    }
    return (masses, bounds)
  }

  /// What a page's mass may be off by, relative to it, because queries and probabilities meet codes as integers.
  ///
  /// As in `OperationHarness.integerBound`: a score moves by ‖q‖·K·√w ÷ top at most, and a probability by half of the largest in the
  /// page ÷ top.
  private static func integerBound(
    _ query: [Float], _ harness: EngineHarness, _ sequence: SequenceID, kvHead: Int
  ) -> Double {
    let cache = harness.engine.cache
    let shape = cache.layers[0]
    func top(_ code: PageCode) -> Double { code.largestFactor(on: harness.engine.instructionSet) }
    var key = 0.0
    let norms = unsafe cache.pageNorms(layer: 0, kvHead: kvHead)
    try? cache.forEachLiveEntry(of: sequence, table: 0) {
      key = max(key, unsafe Double(norms[$0.page].key))
    }
    let score =
      query.map(Double.init).norm * key * Double(shape.keyWidth).squareRoot() / top(shape.keyCode)
    return exp(2 * score) * (1 + 64 / top(shape.valueCode)) - 1
  }

  private func noted(
    _ request: HarnessRequest, in harness: EngineHarness, commits: Bool
  ) throws -> (AttentionResult, [PageAttention]) {
    try harness.begin([request], options: .notingAttention)
    let result = try harness.attend([request])[0]
    let pages = try harness.engine.attention(ofRequest: 0, layer: 0)
    if commits { harness.engine.commit() } else { harness.engine.abandon() }
    return (result, pages)
  }

  @Test(
    "is what Double makes of it, and changes no bit of an output",
    arguments: AttentionBitsTests.kinds + AttentionBitsTests.maskings, [5, 8])
  func twin(_ example: AttentionCase, rows: Int) throws { try compare(example, rows: rows) }

  @Test(
    "is that of quantised pages, few rows and many", arguments: AttentionBitsTests.quantized,
    [2, 5])
  func quantized(_ example: AttentionCase, rows: Int) throws { try compare(example, rows: rows) }

  private func compare(_ example: AttentionCase, rows: Int) throws {
    var example = example
    (example.length, example.rows) = (900, rows)
    let harness = try EngineHarness(example)
    let written = example.length - example.rows
    let sequence = try harness.fill(example, written)
    let request = HarnessRequest(
      sequence, example, tokens: written..<example.length, rows: 0..<example.rows)
    let plain = try harness.step([request], commits: false)[0]
    let threads = ProvidedThreads(count: 3, sharing: .firstCome)
    let shared = try EngineHarness(
      example, cache: harness.engine.cache, workers: threads.workers)
    let parallel = try noted(request, in: shared, commits: false)
    #expect(threads.stop())
    let (result, pages) = try noted(request, in: harness, commits: true)
    #expect(result == plain && parallel.0 == plain)
    #expect(parallel.1 == pages)
    let (masses, bounds) = try Self.expected(example, harness, sequence)
    #expect(pages.count == masses.count)
    for page in pages.indices {
      #expect(abs(pages[page].mass - masses[page]) <= bounds[page], "page \(page)")
    }
    if !example.masking.hasSinks {
      // Every row sees a key.
      let total = pages.reduce(0) { $0 + $1.mass }
      let whole = Double(example.rows * example.queryHeads)
      #expect(abs(total - whole) <= bounds.reduce(0, +))
    }
    let kept = try harness.engine.cache.pages(of: sequence, layer: 0)
    #expect(kept.map(\.latestMass) == pages.map(\.mass) && kept.map(\.mass) == pages.map(\.mass))
    #expect(kept.map(\.tokens) == pages.map(\.tokens))
  }

  @Test("is summed over steps in the cache, the latest beside it; a step given up adds nothing")
  func steps() throws {
    let example = AttentionCase(
      keyType: .float16, valueType: .float16, group: 2, length: 300, rows: 1, seed: 7)
    let harness = try EngineHarness(example)
    let cache = harness.engine.cache
    let sequence = try harness.fill(example, 290)
    var (sums, latest) = ([Double](), [Double]())
    for token in 290..<300 {
      let request = HarnessRequest(
        sequence, example, tokens: token..<token + 1, rows: token..<token + 1)
      _ = try noted(request, in: harness, commits: false)
      #expect(try cache.pages(of: sequence, layer: 0).map(\.latestMass) == latest || token == 290)
      latest = try noted(request, in: harness, commits: true).1.map(\.mass)
      sums = latest.indices.map { ($0 < sums.count ? sums[$0] : 0) + latest[$0] }
    }
    let pages = try cache.pages(of: sequence, layer: 0)
    #expect(pages.map(\.mass) == sums && pages.map(\.latestMass) == latest)
    // What was not noted is neither added nor forgotten; a fork has what its original had.
    _ = try harness.step([
      HarnessRequest(sequence, example, tokens: 300..<301, rows: 300..<301)
    ])
    let fork = try cache.fork(sequence)
    #expect(try cache.pages(of: fork, layer: 0).map(\.mass) == sums)
  }

  @Test("is refused outside of such a step, and for too many rows")
  func refusals() throws {
    let example = AttentionCase(
      keyType: .float16, valueType: .float16, group: 8, kvHeads: 4, keyWidth: 16, valueWidth: 16,
      length: 40_000, rows: 1, seed: 8)
    let harness = try EngineHarness(example)
    let engine = harness.engine
    let sequence = try engine.cache.makeSequence()
    #expect(throws: AttentionError.self) { try engine.attention(ofRequest: 0, layer: 0) }
    engine.cache.commit(try engine.cache.reserve([SlotRequest(sequence, appending: 40_000)]))
    try engine.begin([StepRequest(sequence, appending: 0, querying: 1)])
    #expect(throws: AttentionError.self) { try engine.attention(ofRequest: 0, layer: 0) }
    engine.abandon()
    // 2,000 rows × 32 heads × 625 pages × 8 bytes are more than 256 MiB.
    #expect(throws: AttentionError.self) {
      try engine.begin(
        [StepRequest(sequence, appending: 0, querying: 2_000)], options: .notingAttention)
    }
    try engine.begin(
      [StepRequest(sequence, appending: 0, querying: 1)], options: .notingAttention)
    #expect(throws: AttentionError.self) { try engine.attention(ofRequest: 1, layer: 0) }
    #expect(throws: AttentionError.self) { try engine.attention(ofRequest: -1, layer: 0) }
    #expect(throws: AttentionError.self) { try engine.attention(ofRequest: 0, layer: 1) }
    #expect(try engine.attention(ofRequest: 0, layer: 0).count == 625)
    engine.abandon()
  }
}
