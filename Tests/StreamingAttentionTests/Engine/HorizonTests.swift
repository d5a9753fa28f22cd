import Foundation
import TestSupport
import Testing

@testable import StreamingAttention

/// ALiBi heads that leave far leaves unread.
///
/// An output is Σ w·v with Σ w = 1. Leaving out a part r of the mass moves it to (o − r·o₂) ÷ (1 − r), o₂ being the mean of
/// what was left out: by r·|o₂ − o′| ≤ 2·r·max |v|, where o′ is the new output, and a log-sum-exp by −ln(1 − r).
@Suite("The ALiBi horizon")
struct HorizonTests {
  /// A case whose engines share a cache and differ in ε and workers.
  private struct Runs {
    let example: AttentionCase
    let layer: LayerAttention
    let cache: KVCache
    let sequence: SequenceID
    let last: HarnessRequest

    init(_ example: AttentionCase, slopes: [Float]? = nil, rightWindow: Int? = nil) throws {
      self.example = example
      var layer = try example.layer()
      layer.rightWindow = rightWindow
      if let slopes { layer.alibi = try ALiBi(slopes: slopes) }
      self.layer = layer
      let harness = try EngineHarness(example, layer: layer)
      cache = harness.engine.cache
      let written = example.length - min(example.rows, example.length)
      sequence = try harness.fill(example, written)
      last = HarnessRequest(
        sequence, example, tokens: written..<example.length, rows: 0..<example.rows)
    }

    func harness(_ epsilon: Float, workers: Workers = Workers(count: 1)) throws -> EngineHarness {
      var layer = layer
      layer.alibiEpsilon = epsilon
      return try EngineHarness(example, layer: layer, cache: cache, workers: workers)
    }

    func result(
      _ epsilon: Float, workers: Workers = Workers(count: 1)
    ) throws -> (AttentionResult, AttentionReport) {
      let harness = try harness(epsilon, workers: workers)
      let result = try harness.step([last], commits: false)[0]
      return (result, harness.report)
    }

    /// The largest norm of a value of each KV head.
    func largestValues() -> [Double] {
      let (width, heads) = (example.valueWidth, example.kvHeads)
      let values = example.values(0..<example.length)
      var largest = [Double](repeating: 0, count: heads)
      for row in 0..<example.length * heads {
        var sum = 0.0
        for channel in row * width..<(row + 1) * width {
          sum += Double(values[channel]) * Double(values[channel])
        }
        largest[row % heads] = max(largest[row % heads], sum)
      }
      return largest.map { $0.squareRoot() }
    }
  }

  /// How far two results of the same rows lie apart, in units of what `bound` allows; log-sum-exps with them.
  ///
  /// Rounding beside the skipped mass: what is left out would have rescaled a state and been added, 8·u for each of
  /// the levels of the tree (at most 14), on values and outputs below `largest`, and on |lse|.
  private static func ratio(
    _ a: AttentionResult, _ b: AttentionResult, bound: Double, largest: [Double], group: Int
  ) -> Double {
    let width = a.output.count / a.logSumExp.count
    var worst = 0.0
    for index in a.logSumExp.indices {
      let most = largest[index % (largest.count * group) / group]
      let error = zip(a.output(index), b.output(index)).reduce(0.0) {
        $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1))
      }.squareRoot()
      let rounding = 8 * 14 * 0x1p-24
      let allowed = 2 * bound * most + rounding * most * Double(width).squareRoot()
      worst = max(worst, ReferenceRow.ratio(error, 0, allowed))
      let (lse, other) = (Double(a.logSumExp[index]), Double(b.logSumExp[index]))
      let lseAllowed = bound / (1 - bound) + rounding * (1 + lse.magnitude)
      worst = max(worst, ReferenceRow.ratio(lse, other, lseAllowed))
    }
    return worst
  }

  // MARK: Bits

  /// Kinds with more than one leaf, of each size of leaves.
  static let kinds: [AttentionCase] = AttentionFactors.instructionSets.enumerated().flatMap {
    number, set in
    [(1800, 1), (1700, 9), (1700, 130), (5_000, 9), (5_000, 70), (9_000, 1), (9_000, 70)].map {
      length, rows in
      AttentionCase(
        instructionSet: set, keyType: AttentionFactors.types[(number + rows) % 3],
        valueType: AttentionFactors.types[(number + length) % 3],
        positions: rows % 2 == 0 ? .rotaryALiBi : .alibi, group: 3, kvHeads: 2, keyWidth: 32,
        valueWidth: 45, length: length, base: 131_000, rows: rows, seed: 71)
    }
  }

  @Test("with an ε that skips nothing gives the bits of the dense run", arguments: kinds)
  func nothingSkipped(_ example: AttentionCase) throws {
    // Slopes so flat that 10,000 positions do not take e⁻¹⁰³ off, the smallest number above 0.
    let runs = try Runs(example, slopes: [0.001, 0.002, 0.003, 0.004, 0.005, 0])
    let (dense, denseReport) = try runs.result(0)
    for workers in [1, 3] {
      let threads = ProvidedThreads(count: workers)
      let (result, report) = try runs.result(.leastNonzeroMagnitude, workers: threads.workers)
      #expect(result == dense)
      #expect(report == denseReport)
    }
    #expect(denseReport.keyValueBytesSkipped == 0 && denseReport.skippedMassBound == 0)
  }

  @Test("gives the same bits for 1 to 8 workers that all take tiles", arguments: kinds)
  func workers(_ example: AttentionCase) throws {
    let runs = try Runs(example, slopes: [0.5, 0.05, 0.01, 0.02, 0.005, 0.002])
    for epsilon: Float in [1e-7, 0.1] {
      let (expected, report) = try runs.result(epsilon)
      // The steepest head leaves something out, though another of its group may read it.
      #expect(report.skippedMassBound > 0)
      for count in [2, 4, 7, 8] {
        let threads = ProvidedThreads(count: count)
        let (result, other) = try runs.result(epsilon, workers: threads.workers)
        #expect(result == expected, "\(count) workers")
        #expect(other == report, "\(count) workers")
        #expect(threads.stop())
      }
    }
  }

  @Test("gives a sequence the same bits alone and among others", arguments: kinds)
  func neighbours(_ example: AttentionCase) throws {
    let runs = try Runs(example, slopes: [0.5, 0.05, 0.01, 0.02, 0.005, 0.002])
    let threads = ProvidedThreads(count: 3, sharing: .firstCome)
    let harness = try runs.harness(1e-3, workers: threads.workers)
    let alone = try harness.step([runs.last], commits: false)[0]
    var others: [HarnessRequest] = []
    for (length, tokens, rows) in [(3_000, 1, 1), (640, 40, 40), (1, 1, 1), (0, 0, 2)] {
      var other = example
      (other.length, other.rows, other.seed) = (length, rows, 72 + UInt64(length))
      others.append(
        HarnessRequest(
          try harness.fill(other, length - tokens), other, tokens: length - tokens..<length,
          rows: 0..<rows))
    }
    let results = try harness.step(others + [runs.last], commits: false)
    #expect(results[others.count] == alone)
    let first = try harness.step([runs.last] + others, commits: false)
    #expect(first[0] == alone)
    #expect(Array(first[1...]) == Array(results[..<others.count]))
  }

  @Test("gives a prompt's rows the same bits in any chunks")
  func chunks() throws {
    var example = AttentionCase(
      instructionSet: .detected, keyType: .float16, valueType: .bfloat16, positions: .alibi,
      group: 2, kvHeads: 2, keyWidth: 32, valueWidth: 32, length: 1_700, rows: 0, seed: 73)
    example.rows = 1
    var layer = try example.layer()
    layer.alibi = try ALiBi(slopes: [0.5, 0.01, 0.03, 0.1])
    layer.alibiEpsilon = 0.05
    let harness = try EngineHarness(example, layer: layer)
    func rows(chunk: Int) throws -> AttentionResult {
      let sequence = try harness.engine.cache.makeSequence()
      var all = AttentionResult(output: [], logSumExp: [])
      for start in stride(from: 0, to: example.length, by: chunk) {
        let range = start..<min(start + chunk, example.length)
        all.append(
          try harness.step([HarnessRequest(sequence, example, tokens: range, rows: range)])[0])
      }
      return all
    }
    let whole = try rows(chunk: example.length)
    for chunk in [1, 7, 64, 500] { #expect(try rows(chunk: chunk) == whole, "chunks of \(chunk)") }
  }

  @Test("leaves no trace of a step that was given up")
  func abandoned() throws {
    let example = AttentionCase(
      instructionSet: .detected, keyType: .float16, valueType: .float16, positions: .alibi,
      kvHeads: 2, length: 2_100, rows: 1, seed: 74)
    let runs = try Runs(example, slopes: [0.1, 0.02])
    let (expected, report) = try runs.result(1e-3)
    // Keys far larger than any so far, in the page that the newest token is in.
    var huge = example
    huge.keyDeviation = 100
    let harness = try runs.harness(1e-3)
    _ = try harness.step(
      [HarnessRequest(runs.sequence, huge, tokens: 2_099..<2_150, rows: 0..<1)], commits: false)
    let (again, sameReport) = try runs.result(1e-3)
    #expect(again == expected)
    #expect(sameReport == report)
  }

  // MARK: Bounds

  @Test(
    "stays within the bound that it reports, of the dense result and of Double", arguments: 0..<60)
  func bounds(number: Int) throws {
    var generator = SeededGenerator(seed: 75, stream: UInt64(number))
    let masking = AttentionCase.Masking.allCases
    let example = AttentionCase(
      instructionSet: AttentionFactors.instructionSets.randomElement(using: &generator)
        ?? .baseline,
      keyType: AttentionFactors.types.randomElement(using: &generator) ?? .float32,
      valueType: AttentionFactors.types.randomElement(using: &generator) ?? .float32,
      masking: masking[number % masking.count],
      positions: number % 2 == 0 ? .alibi : .rotaryALiBi, group: [1, 3, 4][number % 3],
      kvHeads: 2, keyWidth: [32, 59, 64][generator.integer(in: 0..<3)], valueWidth: 32,
      length: [1_100, 2_049, 5_000, 8_200][generator.integer(in: 0..<4)],
      base: AttentionFactors.bases[generator.integer(in: 0..<4)],
      rows: [1, 2, 5, 17, 100][generator.integer(in: 0..<5)], seed: 76 + UInt64(number),
      keyDeviation: [0.3, 1, 3][generator.integer(in: 0..<3)])
    let slopes = (0..<example.queryHeads).map { _ in Float(0.3 * generator.uniform()) }
    let runs = try Runs(example, slopes: slopes)
    let (dense, _) = try runs.result(0)
    let largest = runs.largestValues()
    let threads = ProvidedThreads(count: 2, sharing: .firstCome)
    for epsilon: Float in [1e-7, 1e-3, 0.3] {
      let harness = try runs.harness(epsilon, workers: threads.workers)
      try harness.begin([runs.last])
      let result = try harness.attend([runs.last])[0]
      let bound = Double(harness.report.skippedMassBound)
      #expect(harness.report.skippedMassBound <= epsilon)
      // Values as stored are at most 2⁻⁸ larger than as given; bf16 probabilities round once more in the mean.
      let ratio = Self.ratio(
        result, dense, bound: bound * (1 + 0x1p-7), largest: largest, group: example.group)
      #expect(ratio <= 1, "\(example) ε \(epsilon): \(ratio)")
      if epsilon == 1e-7 {
        // The twin's own bounds are wider than 1e-7 of the largest value.
        let ratios = try example.ratios(
          of: result, runs.sequence, in: harness, sampling: 4)
        #expect(ratios.areWithinBounds, "\(example): \(ratios)")
      }
      harness.engine.abandon()
    }
  }

  /// All keys and queries alike, so that every score is the largest that the norms allow, and values that are 1 near the
  /// newest token and −1 far away: then the bound is all but reached, and one a few percent smaller would fail.
  @Test(
    "is as close as norms allow where all scores are the largest possible",
    arguments: [(0.02, Float(0.3)), (0.01, 0.05), (0.05, 1e-4), (0.004, 0.9)], [1, 40])
  func aligned(setting: (slope: Double, epsilon: Float), rows: Int) throws {
    let (slope, epsilon) = setting
    let width = 32
    let length = 5_120
    // Sixteen entries make a leaf.
    let leaf = 1_024
    let shape = LayerShape(
      kvHeads: 1, keyWidth: width, keyType: .float32, valueType: .float32, keyPositions: .none)
    let cache = try KVCache(layers: [shape], stripes: [nil], memoryLimit: 1 << 26)
    let layer = LayerAttention(
      queryHeads: 1, alibi: try ALiBi(slopes: [Float(slope)]), alibiEpsilon: epsilon)
    let engine = try AttentionEngine(cache: cache, layers: [layer], workers: Workers(count: 1))
    let sequence = try cache.makeSequence()
    try engine.begin([StepRequest(sequence, appending: length, querying: rows)])
    let keys = [Float](repeating: 1, count: length * width)
    var values = keys
    let (dense, _) = try Self.attend(engine, keys, values, rows: rows, abandons: false)
    #expect(dense.allSatisfy { ($0 - 1).magnitude < 1e-5 })
    engine.abandon()
    // Which leaves the row leaves out shows in the report: slots of 256 bytes.
    try engine.begin([StepRequest(sequence, appending: length, querying: rows)])
    let (_, report) = try Self.attend(engine, keys, values, rows: rows, abandons: true)
    let skipped = report.keyValueBytesSkipped / (2 * 4 * width)
    #expect(skipped > 0 && skipped % leaf == 0)
    // In Double: masses by distance from the newest row, the score itself being the same everywhere.
    func mass(_ positions: Range<Int>, from row: Int) -> Double {
      positions.reduce(0.0) { $0 + exp(-slope * Double(row - $1)) }
    }
    let newest = length - 1
    let part = mass(0..<skipped, from: newest) / mass(0..<length, from: newest)
    let bound = Double(report.skippedMassBound)
    #expect(part <= bound)
    // The oldest row's bound is the largest, and what it leaves out the others leave out too. It compares with the
    // reference leaf, not the whole mass, sums to infinity, and adds 2⁻⁶ for rounding.
    let oldest = length - rows
    let reference = mass(length - leaf..<oldest + 1, from: oldest)
    let tail = 1 - exp(-slope * Double(skipped))
    #expect(bound * tail <= 1.02 * mass(0..<skipped, from: oldest) / reference)
    // One more leaf would have been too much for it.
    let more = mass(0..<skipped + leaf, from: oldest) / reference
    if skipped + leaf < length - leaf { #expect(more * 1.02 / tail >= Double(epsilon)) }

    for token in 0..<skipped * width { values[token] = -1 }
    try engine.begin([StepRequest(sequence, appending: length, querying: rows)])
    let (far, _) = try Self.attend(engine, keys, values, rows: rows, abandons: true)
    #expect(far.allSatisfy { ($0 - 1).magnitude < 1e-5 }, "what is left out was read")
  }

  /// The output of the newest rows, all of whose queries are ones.
  private static func attend(
    _ engine: AttentionEngine, _ keys: [Float], _ values: [Float], rows: Int, abandons: Bool
  ) throws -> ([Float], AttentionReport) {
    let width = engine.cache.layers[0].keyWidth
    try engine.append(layer: 0, keys: keys.span, values: values.span)
    let queries = [Float](repeating: 1, count: rows * width)
    var output = [Float](repeating: 0, count: rows * width)
    var span = output.mutableSpan
    let report = try engine.attend(layer: 0, queries: queries.span, into: &span)
    if abandons { engine.abandon() }
    return (output, report)
  }

  // MARK: What must be read

  @Test(
    "reads a leaf far away that holds a key large enough to matter, and what is newer",
    arguments: [1, 9, 100], [(ElementType.float32, Float(400)), (.float16, 400), (.bfloat16, 400)])
  func needle(rows: Int, kind: (type: ElementType, size: Float)) throws {
    var example = AttentionCase(
      instructionSet: .detected, keyType: kind.type, valueType: .float32, positions: .alibi,
      group: 2, kvHeads: 2, keyWidth: 32, valueWidth: 32, length: 5_000, base: 257_144,
      rows: rows, seed: 77)
    let slopes: [Float] = [0.1, 0.1, 0.1, 0.1]
    let plain = try Runs(example, slopes: slopes)
    let (_, without) = try plain.result(1e-7)
    #expect(without.keyValueBytesSkipped > without.keyValueBytesRead)
    // Token 700 of KV head 1: leaf 0 of 0...4, 4,299 positions before the newest. 2,000·400 ÷ √32 is far above
    // 0.1·4,300, and the key's value 3 in one channel is what the row then gives.
    example.planted = [
      AttentionCase.Planted(part: .key, index: 700, channel: 32 + 5, number: kind.size),
      AttentionCase.Planted(part: .value, index: 700, channel: 32 + 5, number: 3),
    ]
    for row in 0..<rows {
      example.planted.append(
        AttentionCase.Planted(part: .query, index: row, channel: 3 * 32 + 5, number: 2_000))
    }
    let runs = try Runs(example, slopes: slopes)
    let (result, report) = try runs.result(1e-7)
    #expect(report.keyValueBytesSkipped < without.keyValueBytesSkipped)
    for row in 0..<rows {
      // Of KV head 1, the second of its group asks; its weight there is 1.
      #expect(result.output(row * 4 + 3)[(row * 4 + 3) * 32 + 5] == 3)
    }
    // The other rows of the tile that read it see nothing of it.
    let (dense, _) = try runs.result(0)
    let ratio = Self.ratio(
      result, dense, bound: Double(report.skippedMassBound) * (1 + 0x1p-7),
      largest: runs.largestValues(), group: 2)
    #expect(ratio <= 1)
  }

  @Test(
    "reads a page with a number that is not finite", arguments: [true, false], [Float.nan, 70_000])
  func notFinite(isKey: Bool, number: Float) throws {
    var example = AttentionCase(
      instructionSet: .detected, keyType: .float16, valueType: .float16, positions: .alibi,
      kvHeads: 2, keyWidth: 32, valueWidth: 32, length: 6_000, rows: 1, seed: 78)
    example.planted = [
      AttentionCase.Planted(part: isKey ? .key : .value, index: 100, channel: 40, number: number)
    ]
    let runs = try Runs(example, slopes: [0.2, 0.2])
    let (result, report) = try runs.result(1e-7)
    // Six leaves of 1,024 tokens: KV head 0 reads the newest alone, KV head 1 all.
    #expect(report.keyValueBytesSkipped == 5 * 16 * 64 * 128)
    let (dense, _) = try runs.result(0)
    let finite = [0, 1].map { result.output($0).filter { $0.isFinite }.count }
    #expect(finite == [0, 1].map { dense.output($0).filter { $0.isFinite }.count })
    // An infinite key may weigh nothing: where its score is −∞.
    #expect(finite[0] == 32 && (finite[1] < 32 || isKey && !number.isNaN))
  }

  @Test("counts every page that a row sees once, as read or as skipped", arguments: [1, 50, 200])
  func bytes(rows: Int) throws {
    let example = AttentionCase(
      instructionSet: .detected, keyType: .bfloat16, valueType: .float32, positions: .alibi,
      group: 2, kvHeads: 3, keyWidth: 32, valueWidth: 32, length: 3_333, rows: rows, seed: 79)
    let runs = try Runs(example)
    let (_, dense) = try runs.result(0)
    for epsilon: Float in [1e-7, 0.2] {
      let (_, report) = try runs.result(epsilon)
      #expect(
        report.keyValueBytesRead + report.keyValueBytesSkipped == dense.keyValueBytesRead)
      #expect(report.keyValueBytesSkipped > 0 && report.skippedMassBound > 0)
    }
    // 53 pages of (32·2 + 32·4)·64 bytes for each KV head, and each job; the oldest of three jobs ends before position
    // 3,328, where the last page begins, and a leaf counts whole.
    let jobRows = Plan.rowsPerJob / 2
    let blocks = (rows + jobRows - 1) / jobRows
    #expect(dense.keyValueBytesRead == blocks * 3 * 53 * 192 * 64)
  }

  @Test(
    "measures by the leaves that a row sees with a window on either side", arguments: [1, 40, 200])
  func rightWindow(rows: Int) throws {
    var example = AttentionCase(
      instructionSet: .detected, keyType: .float16, valueType: .float16, positions: .alibi,
      group: 2, kvHeads: 2, keyWidth: 32, valueWidth: 32, length: 3_000, rows: rows, seed: 82)
    example.masking = .full
    var skipped: [Int] = []
    for window in [0, 70, 600, Int.max] {
      let runs = try Runs(example, slopes: [0.4, 0.1, 0.06, 0.2], rightWindow: window)
      let (dense, denseReport) = try runs.result(0)
      let threads = ProvidedThreads(count: 3)
      let (result, report) = try runs.result(1e-3, workers: threads.workers)
      #expect(try runs.result(1e-3).0 == result)
      #expect(
        report.keyValueBytesRead + report.keyValueBytesSkipped == denseReport.keyValueBytesRead)
      skipped.append(report.keyValueBytesSkipped)
      let ratio = Self.ratio(
        result, dense, bound: Double(report.skippedMassBound) * (1 + 0x1p-7),
        largest: runs.largestValues(), group: 2)
      #expect(ratio <= 1, "\(window): \(ratio)")
    }
    // Rows of 200 positions lie near the newest token, whichever of the windows they have.
    #expect(skipped.allSatisfy { $0 > 0 })
  }

  @Test("skips nothing where a bias is added, which may lift any key", arguments: [1, 40])
  func bias(rows: Int) throws {
    var example = AttentionCase(
      instructionSet: .detected, keyType: .float16, valueType: .float16, positions: .alibi,
      group: 2, length: 3_000, rows: rows, seed: 83)
    let slopes: [Float] = [0.5, 0.4, 0.3, 0.2]
    #expect(try Runs(example, slopes: slopes).result(1e-3).1.keyValueBytesSkipped > 0)
    for bias in AttentionCase.Bias.allCases {
      example.bias = bias
      let runs = try Runs(example, slopes: slopes)
      let (result, report) = try runs.result(1e-3)
      #expect(report.keyValueBytesSkipped == 0 && report.skippedMassBound == 0)
      #expect(try runs.result(0).0 == result)
    }
  }

  @Test("skips nothing for a slope of 0, an ε of 0, and where there is no ALiBi")
  func dense() throws {
    var example = AttentionCase(
      instructionSet: .detected, positions: .alibi, kvHeads: 1, length: 3_000, rows: 1, seed: 80)
    #expect(try Runs(example, slopes: [0]).result(0.5).1.keyValueBytesSkipped == 0)
    #expect(try Runs(example, slopes: [0.5]).result(0).1.keyValueBytesSkipped == 0)
    #expect(try Runs(example, slopes: [0.5]).result(1e-7).1.keyValueBytesSkipped > 0)
    example.positions = .none
    #expect(try Runs(example).result(0.5).1.keyValueBytesSkipped == 0)
  }

  @Test("measures what it skips at 262,144 tokens, on any number of workers")
  func long() throws {
    let width = 16
    let heads = 8
    let length = 262_144
    let shape = LayerShape(
      kvHeads: heads, keyWidth: width, keyType: .float16, valueType: .float16, keyPositions: .none)
    let cache = try KVCache(layers: [shape], stripes: [nil], memoryLimit: 1 << 29)
    var layer = LayerAttention(queryHeads: heads, alibi: try ALiBi(headCount: heads))
    func engine(_ epsilon: Float, _ workers: Workers) throws -> AttentionEngine {
      layer.alibiEpsilon = epsilon
      return try AttentionEngine(cache: cache, layers: [layer], workers: workers)
    }
    let dense = try engine(0, Workers(count: 1))
    var generator = SeededGenerator(seed: 81)
    let numbers = generator.normalFloats(8_192 * heads * width + 4_096)
    let queries = generator.normalFloats(heads * width)
    let sequence = try cache.makeSequence()
    for step in 0..<32 {
      // Every step another part of the same numbers, so that no two tokens are alike.
      let keys = numbers.span.extracting(step * 64..<step * 64 + 8_192 * heads * width)
      let values = numbers.span.extracting(4_096 - step * 64..<4_096 - step * 64 + keys.count)
      try dense.begin([StepRequest(sequence, appending: 8_192, querying: 0)])
      try dense.append(layer: 0, keys: keys, values: values)
      dense.commit()
    }
    func decode(_ engine: AttentionEngine) throws -> ([Float], AttentionReport) {
      try engine.begin([StepRequest(sequence, appending: 0, querying: 1)])
      var output = [Float](repeating: 0, count: heads * width)
      var span = output.mutableSpan
      let report = try engine.attend(layer: 0, queries: queries.span, into: &span)
      engine.abandon()
      return (output, report)
    }
    let (whole, denseReport) = try decode(dense)
    #expect(denseReport.keyValueBytesRead == heads * length * width * 4)
    let (single, report) = try decode(engine(1e-7, Workers(count: 1)))
    for count in [2, 4, 7] {
      let threads = ProvidedThreads(count: count)
      let (output, other) = try decode(engine(1e-7, threads.workers))
      #expect(output == single && other == report, "\(count) workers")
    }
    // The flattest of eight heads, slope 2⁻⁸, sees some 30 ÷ 2⁻⁸ positions: four leaves of 128 at most.
    #expect(report.keyValueBytesRead <= heads * 4 * 2_048 * width * 4)
    #expect(report.skippedMassBound <= 1e-7)
    // Values of unit variance in 16 channels are shorter than 12.
    let rounding = 8 * 14 * 0x1p-24 * 12.0
    for (a, b) in zip(single, whole) {
      #expect(Double((a - b).magnitude) <= 2 * Double(report.skippedMassBound) * 12 + rounding)
    }
  }
}
