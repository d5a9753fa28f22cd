import TestSupport
import Testing

@testable import StreamingAttention

/// Three sequences that decode side by side over four layers with f16 caches.
private struct Decoding {
  static let layerCount = 4
  let engine: AttentionEngine
  let sequences: [SequenceID]
  private let requests: [StepRequest]
  private let keys: [Float]
  private let queries: [Float]

  // Rotations of the three sequences, once the prompts are in: what was stored differently is read through tables of slots.
  // Layer 0 is of the type given.
  init(
    workers: Workers, rotations: [SequenceRotation] = [], type: ElementType = .float16
  ) throws {
    let rotary = try RotaryEmbedding(headDimension: 64, rotaryDimensions: 64, pairing: .halves)
    let later = try RotaryEmbedding(
      headDimension: 64, rotaryDimensions: 64, pairing: .halves, scaling: .linear(factor: 2))
    // Steep and flat heads: some read their reference leaves only, some more, some everything.
    let alibi = try ALiBi(slopes: [0.5, 0.1, 0.03, 0.02, 0.001, 0])
    let window = 100
    let shapes = (0..<Self.layerCount).map { layer in
      LayerShape(
        kvHeads: 2, keyWidth: 64, keyType: layer == 0 ? type : .float16,
        valueType: layer == 0 ? type : .float16,
        keyPositions: .rotary(pairs: 32, pairing: .halves),
        retention: layer == 1 ? .window(window) : .everything)
    }
    let layers = (0..<Self.layerCount).map { layer in
      var attention = LayerAttention(
        queryHeads: 6, window: layer == 1 ? window : nil,
        sinks: layer == 2 ? Array(repeating: 0, count: 6) : nil, rotary: rotary,
        alibi: layer == 3 ? alibi : nil, alibiEpsilon: 0.01)
      attention.laterRotary = [later]
      return attention
    }
    let cache = try KVCache(layers: shapes, stripes: [nil], memoryLimit: 1 << 28)
    engine = try AttentionEngine(cache: cache, layers: layers, workers: workers)
    var generator = SeededGenerator(seed: 61)
    sequences = try [cache.makeSequence(), cache.makeSequence(), cache.makeSequence()]
    requests = sequences.map { StepRequest($0, appending: 1) }
    keys = generator.normalFloats(3 * 2 * 64)
    queries = generator.normalFloats(3 * 6 * 64)

    // The first ends a page short of 64 tokens, the second spans several leaves.
    for (sequence, count) in zip(sequences, [65, 2_324, 640]) {
      let tokens = generator.normalFloats(count * 2 * 64)
      try engine.begin([StepRequest(sequence, appending: count, querying: 0)])
      for layer in 0..<Self.layerCount {
        try engine.append(layer: layer, keys: tokens.span, values: tokens.span)
      }
      engine.commit()
    }
    for (sequence, rotation) in zip(sequences, rotations) {
      try cache.setRotation(rotation, of: sequence)
    }
  }

  func begin() throws(AttentionError) { try engine.begin(requests) }

  /// What a step does for one layer after the other.
  func attend(
    into output: inout MutableSpan<Float>, logSumExp: inout MutableSpan<Float>
  ) throws(AttentionError) {
    for layer in 0..<Self.layerCount {
      try engine.append(layer: layer, keys: keys.span, values: keys.span)
      let report = try engine.attend(
        layer: layer, queries: queries.span, into: &output, logSumExp: &logSumExp)
      // One of the KV heads of the layer with a horizon skips leaves, the other reads all.
      precondition((report.keyValueBytesSkipped > 0) == (layer == 3))
    }
  }
}

@Suite("The steady state of decoding")
struct SteadyStateTests {
  /// Counts of a thread, at its latest reading.
  struct Reading: BitwiseCopyable {
    var allocations = 0
    var retains = 0
  }

  @Test(
    "allocates and retains nothing, on any worker",
    .enabled(if: AllocationCount.isAvailable),
    arguments: [1, 2],
    [
      [],
      [
        SequenceRotation(epoch: 1, keys: .whenRead), SequenceRotation(epoch: 2, keys: .whenStored),
        SequenceRotation(epoch: 2, keys: .whenRead),
      ],
    ])
  func nothing(workerCount: Int, rotations: [SequenceRotation]) throws {
    try check(workerCount: workerCount, rotations: rotations, type: .float16)
  }

  @Test(
    "allocates and retains nothing over quantised pages",
    .enabled(if: AllocationCount.isAvailable), arguments: [1, 2], [ElementType.int8, .int4])
  func quantized(workerCount: Int, type: ElementType) throws {
    try check(workerCount: workerCount, rotations: [], type: type)
  }

  private func check(
    workerCount: Int, rotations: [SequenceRotation], type: ElementType
  ) throws {
    let threads = ProvidedThreads(count: workerCount)
    let decoding = try Decoding(workers: threads.workers, rotations: rotations, type: type)
    var output = [Float](repeating: 0, count: 3 * 6 * 64)
    var logSumExp = [Float](repeating: 0, count: 3 * 6)
    var outputSpan = output.mutableSpan
    var lseSpan = logSumExp.mutableSpan
    // Tables and scratch grow to what these steps need.
    for _ in 0..<3 {
      try decoding.begin()
      try decoding.attend(into: &outputSpan, logSumExp: &lseSpan)
      decoding.engine.commit()
    }
    var readings = [Reading](repeating: Reading(), count: workerCount)
    read(&readings, threads.workers)
    let before = readings.map { $0 }
    threads.workers.resetTakenCounts()
    var (begins, attends, commits, retains) = (0, 0, 0, 0)
    // Up to 40 more tokens: every sequence has room in its page (68, 2,327 and 643 tokens so far).
    for _ in 0..<20 {
      begins += try AllocationCount.during { () throws(AttentionError) in try decoding.begin() }
      let (allocations, ownRetains) = (
        AllocationCount.ofThisThread, RetainCount.ofThisThread
      )
      try decoding.attend(into: &outputSpan, logSumExp: &lseSpan)
      retains += RetainCount.ofThisThread - ownRetains
      attends += AllocationCount.ofThisThread - allocations
      commits += AllocationCount.during { decoding.engine.commit() }
    }
    let taken = threads.workers.takenCounts
    read(&readings, threads.workers)
    #expect(attends == 0)
    #expect(begins == 0 && commits == 0, "no page was added, yet \(begins) and \(commits)")
    for worker in 1..<max(1, workerCount) {
      #expect(taken[worker] >= 20 * Decoding.layerCount)
      #expect(readings[worker].allocations == before[worker].allocations)
      if RetainCount.isAvailable { #expect(readings[worker].retains == before[worker].retains) }
    }
    if RetainCount.isAvailable { #expect(retains == 0) }
  }

  /// Lets every worker note its counts.
  private func read(_ readings: inout [Reading], _ workers: Workers) {
    // SAFETY: worker w writes element w only, and `run` returns when the last body has.
    unsafe readings.withUnsafeMutableBytes { bytes in
      _ = unsafe workers.run(64, context: bytes.baseAddress.unsafelyUnwrapped) {
        readings, _, worker in
        unsafe (readings.assumingMemoryBound(to: Reading.self) + worker).pointee = Reading(
          allocations: AllocationCount.ofThisThread, retains: RetainCount.ofThisThread)
      }
    }
  }
}
