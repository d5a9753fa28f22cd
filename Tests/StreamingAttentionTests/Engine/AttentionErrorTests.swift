import TestSupport
import Testing

@testable import StreamingAttention

@Suite("What attention refuses")
struct AttentionErrorTests {
  static let example = AttentionCase(
    keyType: .float16, valueType: .float16, group: 2, length: 130, rows: 3, seed: 51)

  /// Each case that can be reached, with its one line.
  static let cases: [(AttentionError, String)] = [
    (
      .outOfMemory(byteCount: 12), "cannot allocate 12 bytes for a step; ask for fewer rows at once"
    ),
    (
      .instructionSet(received: "neon", allowed: ["baseline", "avx2"]),
      "ATTEND_ISA is 'neon'; this machine has baseline, avx2"
    ),
    (
      .unavailable(.avx512, allowed: [.baseline, .avx2]),
      "an engine for avx512 cannot run here; this machine has baseline, avx2"
    ),
    (.layerCount(received: 2, allowed: 1), "2 layers described, the cache has 1"),
    (.layer(received: 3, allowed: 0..<2), "layer 3 is not one of 0..<2"),
    (
      .queryHeads(layer: 1, received: 3, kvHeads: 2),
      "layer 1: 3 query heads is no positive multiple of 2 KV heads"
    ),
    (
      .setting(layer: 0, name: "window", received: "0", allowed: "1 or more, or none"),
      "layer 0: window is 0; allowed: 1 or more, or none"
    ),
    (
      .request(received: "-1 tokens", allowed: "0 or more"),
      "a step cannot take -1 tokens; allowed: 0 or more"
    ),
    (
      .length(name: "queries", received: 3, allowed: 4),
      "queries holds 3 values, this step needs 4"
    ),
    (
      .noStep(received: "append without begin", allowed: "begin a step first"),
      "append without begin; begin a step first"
    ),
    (
      .notAppended(layer: 1, call: "attend", tokenCount: 3),
      "attend of layer 1, which lacks the keys and values of the step's 3 tokens; append(layer: 1) first"
    ),
    (.cancelled, "cancelled; abandon the step to leave the cache as it was"),
    (.cache(.noLayers), "a cache needs at least one layer"),
  ]

  @Test("is described in one line")
  func descriptions() {
    for (error, text) in Self.cases { #expect("\(error)" == text) }
  }

  // MARK: Layers

  private func refusal(
    _ layers: [LayerAttention], shapes: [LayerShape]? = nil,
    instructionSet: InstructionSet = .baseline
  ) throws -> AttentionError? {
    let cache = try KVCache(
      layers: shapes ?? [try Self.example.shape()], stripes: [nil], memoryLimit: 1 << 24)
    do {
      _ = try AttentionEngine(
        cache: cache, layers: layers, workers: Workers(count: 1), instructionSet: instructionSet)
      return nil
    } catch { return error }
  }

  @Test("a number of layers or of query heads that the cache does not have")
  func layerCount() throws {
    let layer = try Self.example.layer()
    #expect(try refusal([layer]) == nil)
    #expect(try refusal([]) == .layerCount(received: 0, allowed: 1))
    #expect(try refusal([layer, layer]) == .layerCount(received: 2, allowed: 1))
    for heads in [0, -2, 3] {
      var other = layer
      other.queryHeads = heads
      #expect(try refusal([other]) == .queryHeads(layer: 0, received: heads, kvHeads: 2))
    }
  }

  @Test("more query heads than a layer may have")
  func queryHeadLimit() throws {
    // Wide keys too, so that nothing that a step multiplies may overflow.
    var shape = try Self.example.shape()
    (shape.kvHeads, shape.keyWidth, shape.valueWidth) = (1, LayerShape.widest, LayerShape.widest)
    shape.keyPositions = .none
    for heads in [LayerShape.widest + 1, 1 << 31, .max / 2, .max] {
      #expect(
        try refusal([LayerAttention(queryHeads: heads)], shapes: [shape])
          == .setting(
            layer: 0, name: "number of query heads", received: "\(heads)",
            allowed: "at most 65536"))
    }
    #expect(try refusal([LayerAttention(queryHeads: LayerShape.widest)], shapes: [shape]) == nil)
  }

  @Test("as many query heads as a layer may have, which answer")
  func mostQueryHeads() throws {
    let heads = LayerShape.widest
    let shape = LayerShape(
      kvHeads: 1, keyWidth: 1, keyType: .float32, valueType: .float32, keyPositions: .none)
    let cache = try KVCache(layers: [shape], stripes: [nil], memoryLimit: 1 << 24)
    let engine = try AttentionEngine(
      cache: cache, layers: [LayerAttention(queryHeads: heads)], workers: Workers(count: 1))
    let sequence = try cache.makeSequence()
    try engine.begin([StepRequest(sequence, appending: 1)])
    try engine.append(layer: 0, keys: [1].span, values: [3].span)
    let queries = [Float](repeating: 1, count: heads)
    var output = queries
    var span = output.mutableSpan
    try engine.attend(layer: 0, queries: queries.span, into: &span)
    engine.commit()
    #expect(output.allSatisfy { $0 == 3 })
  }

  private struct Change: Sendable {
    var name: String
    var change: @Sendable (inout LayerAttention) throws -> Void

    init(_ name: String, _ change: @escaping @Sendable (inout LayerAttention) throws -> Void) {
      (self.name, self.change) = (name, change)
    }
  }

  private static let changes = [
    Change("scale") { $0.scale = .nan },
    Change("scale") { $0.scale = .infinity },
    Change("window") { $0.window = 0 },
    Change("window") { $0.window = -5 },
    Change("ALiBi epsilon") { $0.alibiEpsilon = 1 },
    Change("ALiBi epsilon") { $0.alibiEpsilon = -1e-7 },
    Change("ALiBi epsilon") { $0.alibiEpsilon = .nan },
    Change("softcap") { $0.softcap = 0 },
    Change("softcap") { $0.softcap = -1 },
    Change("softcap") { $0.softcap = .infinity },
    Change("softcap") { $0.softcap = .nan },
    Change("number of sinks") { $0.sinks = [1, 2, 3] },
    Change("sink") { $0.sinks = [1, 2, 3, .nan] },
    Change("sink") { $0.sinks = [1, .infinity, 3, 4] },
    Change("number of ALiBi slopes") { $0.alibi = try ALiBi(headCount: 3) },
    Change("head dimension of the rotation") {
      $0.rotary = try RotaryEmbedding(
        headDimension: 4096, rotaryDimensions: 64, pairing: .halves)
    },
    Change("head dimension of the rotation") {
      $0.laterRotary = [
        try RotaryEmbedding(headDimension: 66, rotaryDimensions: 64, pairing: .halves)
      ]
    },
    Change("rotation") { $0.rotary = nil },
    Change("rotation") {
      $0.rotary = try RotaryEmbedding(headDimension: 64, rotaryDimensions: 32, pairing: .halves)
    },
    Change("rotation") {
      $0.rotary = try RotaryEmbedding(
        headDimension: 64, rotaryDimensions: 64, pairing: .interleaved)
    },
  ]

  @Test("a setting without meaning", arguments: changes.indices)
  func settings(number: Int) throws {
    let (name, change) = (Self.changes[number].name, Self.changes[number].change)
    var layer = try Self.example.layer()
    try change(&layer)
    guard case .setting(0, let received, _, _) = try refusal([layer]) else {
      Issue.record("\(name): \(String(describing: try refusal([layer])))")
      return
    }
    #expect(received == name)
    // Sinks that count as absent are fine.
    layer = try Self.example.layer()
    layer.sinks = [-.infinity, 0, 1, 2]
    #expect(try refusal([layer]) == nil)
  }

  @Test("a window that reaches further back than the cache keeps")
  func retention() throws {
    var shape = try Self.example.shape()
    shape.retention = .window(100)
    var layer = try Self.example.layer()
    for window in [nil, 101] {
      layer.window = window
      guard case .setting(0, "window", _, _) = try refusal([layer], shapes: [shape]) else {
        Issue.record("a window of \(String(describing: window)) is taken")
        continue
      }
    }
    for window in [1, 100] {
      layer.window = window
      #expect(try refusal([layer], shapes: [shape]) == nil)
    }
  }

  @Test("an instruction set that this CPU lacks, or that is none")
  func instructionSets() throws {
    let available = AttentionFactors.instructionSets
    #expect(try InstructionSet.selected(by: nil) == .detected)
    #expect(try InstructionSet.selected(by: "") == .detected)
    for set in available {
      #expect(try InstructionSet.selected(by: set.rawValue) == set)
      #expect(try InstructionSet.selected(by: set.rawValue.uppercased()) == set)
    }
    let lacking = InstructionSet.allCases.filter { !$0.isAvailable }
    for word in ["sse9", "avx 2", " "] + lacking.map(\.rawValue) {
      #expect(
        throws: AttentionError.instructionSet(
          received: word, allowed: available.map(\.rawValue))
      ) { try InstructionSet.selected(by: word) }
    }
    for set in lacking {
      #expect(
        try refusal([try Self.example.layer()], instructionSet: set)
          == .unavailable(set, allowed: available))
    }
    // The same on a machine that lacks all but the first, whatever this one has: nobody has set ATTEND_ISA there.
    for set in InstructionSet.allCases.dropFirst() {
      expect(throwing: .unavailable(set, allowed: [.baseline])) { () throws(AttentionError) in
        try set.check(on: .baseline)
      }
    }
    try InstructionSet.baseline.check(on: .baseline)
    #expect(InstructionSet.baseline.isAvailable && available == available.sorted())
  }

  // MARK: Steps

  @Test("a step that cannot begin leaves the cache as it was")
  func begin() throws {
    let example = Self.example
    let harness = try EngineHarness(example)
    let engine = harness.engine
    let sequence = try harness.fill(example, 127)
    let dropped = try engine.cache.makeSequence()
    try engine.cache.drop(dropped)
    let bytes = (engine.cache.byteCount, engine.cache.formulaBytes)

    let refused: [([StepRequest], AttentionError)] = [
      (
        [StepRequest(sequence, appending: 200), StepRequest(dropped, appending: 1)],
        .cache(.unknownSequence(dropped))
      ),
      (
        [StepRequest(sequence, appending: 200), StepRequest(sequence, appending: 1)],
        .cache(.repeatedSequence(sequence))
      ),
      (
        [StepRequest(sequence, appending: -1)],
        .request(received: "-1 tokens and -1 rows", allowed: "0…2147483647 of each")
      ),
      (
        [StepRequest(sequence, appending: 1, querying: -1)],
        .request(received: "1 tokens and -1 rows", allowed: "0…2147483647 of each")
      ),
      (
        [StepRequest(sequence, appending: 0, querying: .max)],
        .request(
          received: "0 tokens and \(Int.max) rows", allowed: "0…2147483647 of each")
      ),
    ]
    for (requests, error) in refused {
      #expect(throws: error) { try engine.begin(requests) }
      #expect(!engine.isInStep)
    }
    // 256 MiB of pages are allowed.
    #expect(throws: AttentionError.self) {
      try engine.begin([StepRequest(sequence, appending: 2_000_000_000)])
    }
    #expect(engine.cache.checkInvariants() == [])
    #expect((engine.cache.byteCount, engine.cache.formulaBytes) == bytes)
    #expect(try engine.cache.length(of: sequence) == 127)
    let request = HarnessRequest(sequence, example, tokens: 127..<130, rows: 0..<3)
    #expect(try harness.step([request])[0] == EngineHarness(example).run(example).1)
  }

  @Test("rows before position 0, at once", arguments: [0, 7])
  func rowsBeforeTheBeginning(start: Int) throws {
    var example = Self.example
    example.base = start
    let harness = try EngineHarness(example)
    let engine = harness.engine
    let sequence = try harness.fill(example, 10)
    for (appended, rows) in [(0, 11), (1, 12), (0, 10_000_000), (0, Int(Int32.max))] {
      let end = start + 10 + appended
      let refused = StepRequest(sequence, appending: appended, querying: start + rows)
      guard start + rows <= Int(Int32.max) else { continue }
      #expect(
        throws: AttentionError.request(
          received: "\(start + rows) rows that end before position \(end)",
          allowed: "up to \(end), the first of which stands at position 0")
      ) { try engine.begin([refused]) }
      #expect(!engine.isInStep)
    }
    // Nothing has been listed for any of the rows.
    #expect(engine.plan.positions.capacity < 1 << 10)
    // As many as there are positions.
    for appended in [0, 1] {
      try engine.begin(
        [StepRequest(sequence, appending: appended, querying: start + 10 + appended)])
      #expect(engine.plan.positions[0] == 0)
      engine.abandon()
    }
    let empty = try engine.cache.makeSequence()
    #expect(throws: AttentionError.self) {
      try engine.begin([StepRequest(empty, appending: 0, querying: 1)])
    }
    try engine.begin([StepRequest(empty, appending: 0, querying: 0)])
    engine.abandon()
  }

  @Test("rows whose window has been given up, before any of them is planned")
  func windowOfOldRows() throws {
    var example = Self.example
    (example.masking, example.length) = (.window, 1000)
    let harness = try EngineHarness(example)
    let sequence = try harness.fill(example, 1000)
    // 100 tokens and a page are kept of 1,000: whole pages from position 832 on.
    for rows in [70, 500, 900] {
      #expect(
        throws: AttentionError.request(
          received: "rows from position \(1000 - rows) on with a window of 100",
          allowed: "rows from position 931 on, whose keys are still kept")
      ) { try harness.engine.begin([StepRequest(sequence, appending: 0, querying: rows)]) }
      #expect(!harness.engine.isInStep)
    }
    #expect(harness.engine.plan.positions.count == 0)
    example.rows = 69
    let result = try harness.step([
      HarnessRequest(sequence, example, tokens: 1000..<1000, rows: 0..<69)
    ])[0]
    #expect(try result == EngineHarness(example).run(example).1)
  }

  @Test("a call out of turn")
  func turns() throws {
    let harness = try EngineHarness(Self.example)
    let engine = harness.engine
    let sequence = try engine.cache.makeSequence()
    let numbers = [Float](repeating: 0, count: 256)
    var output = numbers
    var span = output.mutableSpan
    expect(
      throwing: .noStep(received: "append without begin", allowed: "begin a step first")
    ) { () throws(AttentionError) in
      try engine.append(layer: 0, keys: numbers.span, values: numbers.span)
    }
    expect(
      throwing: .noStep(received: "attend without begin", allowed: "begin a step first")
    ) { () throws(AttentionError) in
      try engine.attend(layer: 0, queries: numbers.span, into: &span)
    }
    try engine.begin([StepRequest(sequence, appending: 1)])
    expect(
      throwing: .noStep(
        received: "begin inside a step", allowed: "commit or abandon the step first")
    ) { () throws(AttentionError) in try engine.begin([]) }
    for layer in [-1, 1] {
      expect(throwing: .layer(received: layer, allowed: 0..<1)) { () throws(AttentionError) in
        try engine.append(layer: layer, keys: numbers.span, values: numbers.span)
      }
      expect(throwing: .layer(received: layer, allowed: 0..<1)) { () throws(AttentionError) in
        try engine.attend(layer: layer, queries: numbers.span, into: &span)
      }
    }
    // Widths are 64, with 2 KV heads and 4 query heads.
    expect(throwing: .length(name: "keys", received: 256, allowed: 128)) {
      () throws(AttentionError) in
      try engine.append(layer: 0, keys: numbers.span, values: numbers.span)
    }
    expect(throwing: .length(name: "values", received: 256, allowed: 128)) {
      () throws(AttentionError) in
      try engine.append(layer: 0, keys: numbers.span.extracting(0..<128), values: numbers.span)
    }
    expect(throwing: .length(name: "queries", received: 1, allowed: 256)) {
      () throws(AttentionError) in
      try engine.attend(layer: 0, queries: numbers.span.extracting(0..<1), into: &span)
    }
    var short = [Float](repeating: 0, count: 255)
    var shortSpan = short.mutableSpan
    expect(throwing: .length(name: "output", received: 255, allowed: 256)) {
      () throws(AttentionError) in
      try engine.attend(layer: 0, queries: numbers.span, into: &shortSpan)
    }
    expect(throwing: .length(name: "logSumExp", received: 255, allowed: 4)) {
      () throws(AttentionError) in
      try engine.attend(
        layer: 0, queries: numbers.span, into: &span, logSumExp: &shortSpan)
    }
    engine.abandon()
    #expect(!engine.isInStep)
  }

  private func expect(
    throwing expected: AttentionError, location: SourceLocation = #_sourceLocation,
    _ body: () throws(AttentionError) -> Void
  ) {
    do throws(AttentionError) {
      try body()
      Issue.record("nothing is thrown", sourceLocation: location)
    } catch {
      #expect(error == expected, sourceLocation: location)
    }
  }

  @Test("memory for a step that is not to be had is a typed error")
  func memory() throws {
    var buffer = try GrowingBuffer<Int>()
    expect(throwing: .outOfMemory(byteCount: 1 << 58)) { () throws(AttentionError) in
      try buffer.reserveCapacity(1 << 55)
    }
    expect(throwing: .outOfMemory(byteCount: .max)) { () throws(AttentionError) in
      try buffer.reserveCapacity(1 << 61)
    }
    #expect(buffer.count == 0)
  }

  // MARK: Cancelling

  @Test("a cancelled step, given up, is as if it had never begun", arguments: [1, 3])
  func cancellation(workerCount: Int) throws {
    var example = Self.example
    (example.length, example.rows, example.instructionSet) = (1500, 100, .detected)
    let threads = ProvidedThreads(count: workerCount)
    let harness = try EngineHarness(example, workers: threads.workers)
    let sequence = try harness.fill(example, 1400)
    let bytes = harness.engine.cache.byteCount
    let request = HarnessRequest(sequence, example, tokens: 1400..<1500, rows: 0..<100)
    var other = request
    other.example.seed = 52

    let flag = CancellationFlag()
    flag.cancel()
    try harness.begin([other])
    #expect(throws: AttentionError.cancelled) {
      try harness.attend([other], cancellation: flag)
    }
    harness.engine.abandon()
    // Cut while tiles are under way: whether it ends in time or not, nothing stays behind.
    for delay in [0, 50, 200, 500, 1000] {
      flag.reset()
      try harness.begin([other])
      let canceller = DelayedCancellation(flag, microseconds: delay)
      _ = try? harness.attend([other], cancellation: flag)
      canceller.wait()
      harness.engine.abandon()
    }
    #expect(harness.engine.cache.byteCount == bytes)
    #expect(harness.engine.cache.checkInvariants() == [])
    let fresh = try EngineHarness(example)
    let expected = try fresh.step([
      HarnessRequest(
        try fresh.fill(example, 1400), example, tokens: 1400..<1500, rows: 0..<100)
    ])
    #expect(try harness.step([request]) == expected)
  }

  @Test("a cancelled attend can be repeated inside its step")
  func repeated() throws {
    var example = Self.example
    (example.length, example.rows) = (1500, 1)
    let threads = ProvidedThreads(count: 3)
    let harness = try EngineHarness(example, workers: threads.workers)
    let sequence = try harness.fill(example, 1499)
    let request = HarnessRequest(sequence, example, tokens: 1499..<1500, rows: 0..<1)
    let flag = CancellationFlag()
    try harness.begin([request])
    for delay in [0, 5, 10, 20, 40, 80] {
      flag.reset()
      let canceller = DelayedCancellation(flag, microseconds: delay)
      _ = try? harness.attend([request], cancellation: flag)
      canceller.wait()
    }
    // Counters of trees that were cut half-way must not be found by the next run.
    #expect(try harness.attend([request]) == [EngineHarness(example).run(example).1])
    harness.engine.commit()
  }
}
