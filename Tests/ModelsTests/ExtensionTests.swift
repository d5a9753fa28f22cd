import ModelFiles
import Models
import StreamingAttention
import TestSupport
import Testing

@Suite("A decoder that extends its context in mid-stream")
struct ExtensionTests {
  private static let (length, start) = (900, 417)
  static let scalings: [RotaryScaling] = [
    .yarn(YaRN(factor: 4, originalContext: 500)), .ntkAware(factor: 4),
    .dynamicNTK(factor: 4, originalContext: 500),
  ]

  private static func logits(
    _ scaling: RotaryScaling?, chunk: Int = 900, cancelled: Bool = false
  ) throws -> [Float] {
    let tiny = try TinyModel("llama_default", extension: scaling)
    let decoder = try Decoder(
      model: tiny.model, keyType: .float32, valueType: .float32, maximumContext: 2000,
      extensionStart: scaling == nil ? nil : start, workers: .shared)
    let sequence = try decoder.makeSequence()
    var logits = try decoder.logits(of: tiny.ids[..<start], in: sequence, chunk: chunk)
    if cancelled {
      let flag = CancellationFlag()
      flag.cancel()
      #expect(throws: ModelError.self) {
        try decoder.step([DecoderInput(sequence, [1, 2, 3])], cancellation: flag)
      }
      #expect(try decoder.cache.rotation(of: sequence) == .standard)
    }
    logits += try decoder.logits(of: tiny.ids[start..<length], in: sequence, chunk: chunk)
    #expect(try decoder.cache.rotation(of: sequence).epoch == (scaling == nil ? 1 : 2))
    return logits
  }

  @Test("leaves the tokens before it alone and turns those after it", arguments: scalings)
  func partOfTheStream(scaling: RotaryScaling) throws {
    let plain = try Self.logits(nil)
    let extended = try Self.logits(scaling)
    #expect(plain.count == extended.count && extended.allSatisfy(\.isFinite))
    let before = plain.count / Self.length * Self.start
    #expect(haveSameBits(Array(plain[..<before]), Array(extended[..<before])))
    let distance = Distance(of: Array(extended[before...]), to: Array(plain[before...]))
    #expect(distance.maximum > 1e-3, "\(distance.maximum)")
  }

  @Test("begins with the first token at the earliest")
  func earliest() throws {
    let tiny = try TinyModel("llama_default", extension: Self.scalings[2])
    func decoder(_ start: Int) throws -> Decoder {
      try Decoder(
        model: tiny.model, maximumContext: 2000, extensionStart: start, workers: .shared)
    }
    let error = ModelError.tooSmall(
      option: "the context before its extension", received: -1, allowed: 0)
    #expect(throws: error) { try decoder(-1) }
    let first = try decoder(0)
    let sequence = try first.makeSequence()
    let logits = try first.logits(of: tiny.ids[..<70], in: sequence, chunk: 30)
    #expect(logits.allSatisfy { $0.isFinite })
    #expect(try first.cache.rotation(of: sequence).epoch == 2)
  }

  @Test("is none without a second scaling: the first one is evaluated for the whole context")
  func withoutScaling() throws {
    let model = try DecoderModel(
      file: try GGUFFile(path: Fixtures.path("tiny/llama_default/llama_default.gguf")),
      weightType: .float32, scaling: Self.scalings[2], workers: .shared)
    let rotary = { model.attention(context: 2000, extensionStart: $0).map(\.rotary) }
    #expect(rotary(600) == rotary(nil))
    #expect(rotary(nil) != model.attention(context: 600).map(\.rotary))
  }

  @Test("gives the same bits in any chunks, and after a step that was cancelled")
  func chunks() throws {
    let whole = try Self.logits(Self.scalings[0])
    for chunk in [1, 7, 64] {
      #expect(haveSameBits(try Self.logits(Self.scalings[0], chunk: chunk), whole))
    }
    #expect(haveSameBits(try Self.logits(Self.scalings[0], cancelled: true), whole))
  }

  @Test(
    "to frequencies that are the same changes nothing but the rounding",
    arguments: [
      RotaryScaling.yarn(YaRN(factor: 1, originalContext: 500)),
      .dynamicNTK(factor: 4, originalContext: 1000),
    ])
  func sameFrequencies(scaling: RotaryScaling) throws {
    let plain = try Self.logits(nil)
    let distance = Distance(of: try Self.logits(scaling), to: plain)
    // f32 falls 1.2e-5 from float64 here (refs.json), and keys of another epoch are turned once more.
    #expect(distance.maximum <= 4 * 1.2e-5, "\(distance.maximum)")
  }

  @Test("never takes a step across the extension")
  func stepCounts() throws {
    let tiny = try TinyModel("llama_default", extension: Self.scalings[0])
    let decoder = try Decoder(
      model: tiny.model, maximumContext: 2000, extensionStart: 417, workers: .shared)
    #expect(decoder.stepCount(512, from: 0) == 417)
    #expect(decoder.stepCount(512, from: 416) == 1)
    #expect(decoder.stepCount(512, from: 417) == 512)
    #expect(try tiny.decoder().stepCount(512, from: 0) == 512)
  }
}
