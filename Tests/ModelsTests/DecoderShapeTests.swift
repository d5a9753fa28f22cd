import ModelFiles
import Models
import StreamingAttention
import TestSupport
import Testing

@Suite("Decoder shapes are what the file says")
struct DecoderShapeTests {
  private func shape(_ fieldCase: String, scaling: RotaryScaling? = nil) throws -> DecoderShape {
    let path = Fixtures.path("field-cases/\(fieldCase)/model.gguf")
    return try DecoderShape(of: GGUFFile(path: path), scaling: scaling)
  }

  @Test("heads and their widths, stated or not")
  func heads() throws {
    let three = try shape("group-3")
    #expect((three.queryHeads, three.kvHeads, three.keyWidth) == (6, 2, 10))
    let wide = try shape("head-size-16-of-8")
    #expect(wide.keyWidth == 16 && wide.width == 8 * wide.queryHeads)
    let missing = try shape("head-size-missing")
    #expect(missing.keyWidth == missing.width / missing.queryHeads)
    #expect(missing.valueWidth == missing.keyWidth)
    #expect(missing.rotary?.rotaryDimensions == missing.keyWidth)
    let values = try shape("values-wider")
    #expect((values.keyWidth, values.valueWidth) == (8, 12))
    let full = try shape("kv-heads-missing")
    #expect(full.kvHeads == full.queryHeads)
    let one = try shape("one-head")
    #expect((one.queryHeads, one.kvHeads, one.keyWidth) == (1, 1, 26))
  }

  @Test("the window, for the architecture that has one")
  func windows() throws {
    #expect(try shape("window-7").window == 7)
    #expect(try shape("window-beyond-text").window == 64)
    #expect(try shape("tied").window == nil)
  }

  @Test("the pairing belongs to the architecture")
  func pairings() throws {
    let llama = try shape("tied")
    #expect(llama.architecture == .llama && llama.rotary?.pairing == .interleaved)
    let qwen = try shape("biases-qwen2")
    #expect(qwen.architecture == .qwen2 && qwen.rotary?.pairing == .halves)
  }

  @Test("rotary base, partial rotation and scalings")
  func rotary() throws {
    #expect(try shape("rope-base-missing").rotary?.base == 10_000)
    #expect(try shape("rope-base-million").rotary?.base == 1_000_000)
    let partial = try shape("rope-partial-qwen2")
    #expect((partial.keyWidth, partial.rotary?.rotaryDimensions) == (16, 8))
    let odd = try shape("head-of-15")
    #expect((odd.keyWidth, odd.rotary?.rotaryDimensions) == (15, 14))
    #expect(try shape("rope-scale-linear").rotary?.scaling == .linear(factor: 4))
    #expect(try shape("rope-factor-no-type").rotary?.scaling == .linear(factor: 4))
    guard case .yarn = try shape("rope-yarn").rotary?.scaling else {
      Issue.record("rope-yarn has no YaRN")
      return
    }
  }

  @Test("the caller's scaling takes the place of the file's")
  func scalingOverride() throws {
    #expect(
      try shape("rope-scale-linear", scaling: RotaryScaling.none).rotary?.scaling
        == RotaryScaling.none)
    #expect(try shape("tied", scaling: .linear(factor: 2)).rotary?.scaling == .linear(factor: 2))
  }

  @Test("divisors of the frequencies are read from their tensor")
  func divisors() throws {
    let divided = try #require(try shape("rope-factors").rotary)
    let plain = try #require(try shape("tied").rotary)
    #expect(divided.frequencies[0] > 0)
    #expect(divided.frequencies != plain.frequencies)
  }

  @Test(
    "what contradicts itself or is not supported is named",
    arguments: [
      ("heads-zero", "head_count"), ("heads-not-divisible", "head_count_kv"),
      ("query-heads-missing", "head_count"), ("epsilon-missing", "layer_norm_rms_epsilon"),
      ("block-count-a-string", "block_count"), ("context-zero", "context_length"),
      ("kv-heads-differ", "head_count_kv"), ("kv-heads-array-long", "head_count_kv"),
      ("rope-dimensions-odd", "rope.dimension_count"), ("rope-type-unknown", "spiral"),
      ("rope-factors-too-many", "rope_freqs.weight"), ("unknown-architecture", "borealis9"),
    ])
  func refusals(name: String, word: String) throws {
    let error = #expect(throws: ModelError.self) { try shape(name) }
    let description = "\(try #require(error))"
    #expect(description.contains(word), "\(description)")
    #expect(!description.contains("\n"))
  }

  @Test(
    "a model with a tensor missing, misshapen or unknown does not load",
    arguments: [
      ("missing-ffn-down", "blk.1.ffn_down.weight"), ("blocks-one-more", "blk.2."),
      ("embedding-transposed", "token_embd.weight"), ("extra-tensor", "training.note"),
      ("vocabulary-only", "token_embd.weight"),
    ])
  func tensors(name: String, word: String) throws {
    let file = try GGUFFile(path: Fixtures.path("field-cases/\(name)/model.gguf"))
    let error = #expect(throws: ModelError.self) {
      try DecoderModel(file: file, workers: .shared)
    }
    #expect("\(try #require(error))".contains(word))
  }
}
