import Foundation
import ModelFiles
import Models
import StreamingAttention
import TestSupport
import Testing

@Suite("Decoder")
struct DecoderTests {
  /// Over 1,024 tokens a sequence has three leaves of 512, so that several tiles of a decode step are joined.
  private static let length = 1100

  @Test("cached decode equals prefill, bit for bit", arguments: TinyModel.names)
  func decodeEqualsPrefill(name: String) throws {
    let tiny = try TinyModel(name)
    let ids = tiny.ids[..<Self.length]
    let decoder = try tiny.decoder()
    let whole = try decoder.logits(of: ids, in: decoder.makeSequence(), chunk: Self.length)
    #expect(whole.allSatisfy { $0.isFinite })
    for chunk in [1, 7, 64, 500] {
      let chunked = try decoder.logits(of: ids, in: decoder.makeSequence(), chunk: chunk)
      #expect(haveSameBits(chunked, whole), "chunks of \(chunk)")
    }
  }

  @Test("the number of workers changes no bit", arguments: ["llama_default", "mistral_swa"])
  func workers(name: String) throws {
    let tiny = try TinyModel(name)
    let ids = tiny.ids[..<Self.length]
    let alone = try tiny.decoder(workers: Workers(count: 1))
    let expected = try alone.logits(of: ids, in: alone.makeSequence(), chunk: 1)
    for count in [2, 3, 8] {
      let decoder = try tiny.decoder(workers: Workers(count: count))
      for chunk in [1, 300] {
        let logits = try decoder.logits(of: ids, in: decoder.makeSequence(), chunk: chunk)
        #expect(haveSameBits(logits, expected), "\(count) workers, chunks of \(chunk)")
      }
    }
  }

  @Test("a sequence has the same bits among others as alone")
  func batch() throws {
    let tiny = try TinyModel("qwen3")
    let decoder = try tiny.decoder()
    let prompts = [tiny.ids[..<600], tiny.ids[1000..<1001], tiny.ids[2000..<2130]].map(Array.init)
    let alone = try prompts.map {
      try decoder.logits(of: $0, in: decoder.makeSequence(), chunk: $0.count)
    }
    let sequences = try prompts.map { _ in try decoder.makeSequence() }
    try decoder.step(zip(sequences, prompts).map { DecoderInput($0, $1) })
    var together: [Float] = []
    try decoder.logits(ofRows: 0..<prompts.reduce(0) { $0 + $1.count }, into: &together)
    #expect(haveSameBits(together, alone.flatMap(\.self)))
  }

  @Test("a cancelled step leaves the sequence as it was", arguments: [0, 1, 5, 20])
  func cancelled(milliseconds: UInt32) throws {
    let tiny = try TinyModel("llama_default")
    let decoder = try tiny.decoder(maximumContext: 100_000)
    let sequence = try decoder.makeSequence()
    let first = try decoder.logits(of: tiny.ids[..<700], in: sequence, chunk: 700)
    let flag = CancellationFlag()
    // Far more work than fits the time.
    let long = DecoderInput(sequence, (0..<50_000).map { $0 * 37 % 128 })
    // A thread, since tests that run side by side may keep every place for tasks busy.
    Thread {
      usleep(1_000 * milliseconds)
      flag.cancel()
    }.start()
    #expect(throws: ModelError.cancelled) { try decoder.step([long], cancellation: flag) }
    #expect(try decoder.cache.length(of: sequence) == 700)
    #expect(decoder.cache.checkInvariants() == [])

    // Cancelled again before it begins, and then it goes on as if nothing had been.
    #expect(throws: ModelError.cancelled) { try decoder.step([long], cancellation: flag) }
    let second = try decoder.logits(of: tiny.ids[700..<900], in: sequence, chunk: 50)
    let fresh = try tiny.decoder()
    let whole = try fresh.logits(of: tiny.ids[..<900], in: fresh.makeSequence(), chunk: 900)
    #expect(haveSameBits(first + second, whole))
  }

  @Test("cancelled logits can be asked for again")
  func cancelledLogits() throws {
    let tiny = try TinyModel("qwen2")
    let decoder = try tiny.decoder()
    try decoder.step([DecoderInput(try decoder.makeSequence(), Array(tiny.ids[..<50]))])
    let flag = CancellationFlag()
    flag.cancel()
    var logits: [Float] = []
    #expect(throws: ModelError.cancelled) {
      try decoder.logits(ofRows: 0..<50, into: &logits, cancellation: flag)
    }
    try decoder.logits(ofRows: 0..<50, into: &logits)
    let expected = try decoder.logits(
      of: tiny.ids[..<50], in: decoder.makeSequence(), chunk: 50)
    #expect(haveSameBits(logits, expected))
  }

  @Test("a context that holds nothing is refused", arguments: [0, -1, Int.min])
  func contextTooSmall(context: Int) throws {
    let tiny = try TinyModel("llama_default")
    let error = ModelError.tooSmall(
      option: "the maximum context", received: context, allowed: 1)
    #expect(throws: error) { try tiny.decoder(maximumContext: context) }
    #expect("\(error)" == "the maximum context is \(context); allowed: 1 or more")
  }

  @Test("a step of no tokens computes nothing and changes nothing")
  func noTokens() throws {
    let tiny = try TinyModel("llama_default")
    let decoder = try tiny.decoder()
    let sequence = try decoder.makeSequence()
    try decoder.step([])
    try decoder.step([DecoderInput(sequence, [])])
    var logits: [Float] = [1]
    try decoder.logits(ofRows: 0..<0, into: &logits)
    #expect(logits.isEmpty)
    #expect(try decoder.cache.length(of: sequence) == 0)
    try decoder.step([DecoderInput(sequence, [3])])
    #expect(try decoder.cache.length(of: sequence) == 1)
  }

  @Test("logits of rows that the last step did not have trap", arguments: [-1..<0, 0..<3])
  func rowsOutOfRange(rows: Range<Int>) async {
    await #expect(processExitsWith: .failure) { [rows] in
      let decoder = try TinyModel("llama_default").decoder()
      try decoder.step([DecoderInput(try decoder.makeSequence(), [1, 2])])
      var logits: [Float] = []
      try decoder.logits(ofRows: rows, into: &logits)
    }
  }

  @Test("a token outside of the vocabulary is refused and changes nothing", arguments: [-1, 128])
  func tokenOutOfRange(token: Int) throws {
    let tiny = try TinyModel("llama_default")
    let decoder = try tiny.decoder()
    let sequence = try decoder.makeSequence()
    try decoder.step([DecoderInput(sequence, [1, 2])])
    #expect(throws: ModelError.tokenOutOfRange(received: token, allowed: 0..<128)) {
      try decoder.step([DecoderInput(sequence, [3, token])])
    }
    #expect(try decoder.cache.length(of: sequence) == 2)
    try decoder.step([DecoderInput(sequence, [3])])
    #expect(try decoder.cache.length(of: sequence) == 3)
  }

  @Test("a sequence that was dropped is refused")
  func droppedSequence() throws {
    let decoder = try TinyModel("llama_default").decoder()
    let sequence = try decoder.makeSequence()
    try decoder.cache.drop(sequence)
    let error = #expect(throws: ModelError.self) {
      try decoder.step([DecoderInput(sequence, [1])])
    }
    guard case .attention(.cache) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test(
    "narrow weights and caches stay close to f32",
    arguments: [(WeightType.float16, ElementType.float16), (.bfloat16, .bfloat16)])
  func narrowTypes(weights: WeightType, type: ElementType) throws {
    let tiny = try TinyModel("llama_default")
    let reference = try tiny.decoder()
    let expected = try reference.logits(
      of: tiny.ids[..<300], in: reference.makeSequence(), chunk: 300)
    let file = Fixtures.path("tiny/llama_default/llama_default.gguf")
    let model = try DecoderModel(file: .init(path: file), weightType: weights, workers: .shared)
    #expect(model.weightBytes * 2 == tiny.model.weightBytes)
    let decoder = try Decoder(
      model: model, keyType: type, valueType: type, maximumContext: 300, workers: .shared)
    let logits = try decoder.logits(of: tiny.ids[..<300], in: decoder.makeSequence(), chunk: 300)
    let distance = Distance(of: logits, to: expected)
    // Rounding is 2^-11 for f16 and 2^-8 for bf16; f32 with 2^-24 falls 1.2e-5 from float64 here (refs.json), and
    // the error is proportional to the rounding: 2^13 and 2^16 times that in the maximum.
    let bound = 1.2e-5 * (type == .float16 ? 0x1p13 : 0x1p16)
    #expect(distance.maximum > 0 && distance.maximum <= bound, "\(distance.maximum)")
  }

  @Test("with the file's own bits, neither chunks nor workers change a bit, and f32 is near")
  func fileWeights() throws {
    // q and k in Q4_0, the output matrix in Q4_1, the rest in f32.
    let path = Fixtures.path("field-cases/permuted-q4/model.gguf")
    let file = try GGUFFile(path: path)
    let ids = (0..<200).map { $0 * 29 % 48 }
    func logits(_ type: WeightType, workers: Int, chunk: Int) throws -> [Float] {
      let workers = Workers(count: workers)
      let model = try DecoderModel(file: file, weightType: type, workers: workers)
      let decoder = try Decoder(
        model: model, keyType: .float32, valueType: .float32, maximumContext: 200, workers: workers)
      return try decoder.logits(of: ids, in: decoder.makeSequence(), chunk: chunk)
    }
    let whole = try logits(.file, workers: 1, chunk: 200)
    for (workers, chunk) in [(1, 1), (2, 1), (3, 7), (2, 64), (8, 200)] {
      #expect(haveSameBits(try logits(.file, workers: workers, chunk: chunk), whole))
    }
    let distance = Distance(of: whole, to: try logits(.float32, workers: 2, chunk: 200))
    // Activations are rounded by at most a 254th of the largest of 16, some 2^-8, as with bf16; f32, with 2^-24, may be off
    // by 1e-5 here (case.json).
    #expect(distance.maximum > 0 && distance.maximum <= 1e-5 * 0x1p16, "\(distance.maximum)")
  }
}
