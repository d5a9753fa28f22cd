import ModelFiles
import Models
import StreamingAttention
import TestSupport
import Testing

/// A small BLOOM or MPT with random weights, as a file and as its twin.
struct FusedBlockModel: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var architecture = "mpt"
  var queryHeads = 4
  var kvHeads = 4
  var keyWidth = 8
  var maximumBias = 8.0
  var clamp: Double?
  var hasBiases = false
  var hasHeadNorms = false
  var hasOutput = false

  static let layers = 2
  static let feedForwardWidth = 40
  static let vocabulary = 32

  var width: Int { queryHeads * keyWidth }

  var file: TinyGGUF {
    var file = TinyGGUF()
    file.pairs = [
      ("general.architecture", .text(architecture)), ("\(architecture).block_count", .size(2)),
      ("\(architecture).embedding_length", .size(width)),
      ("\(architecture).feed_forward_length", .size(Self.feedForwardWidth)),
      ("\(architecture).attention.head_count", .size(queryHeads)),
      ("\(architecture).attention.head_count_kv", .size(kvHeads)),
      ("\(architecture).attention.layer_norm_epsilon", .number(1e-5)),
      ("\(architecture).context_length", .size(512)),
    ]
    if architecture == "mpt" {
      file.pairs.append(("mpt.attention.max_alibi_bias", .number(Float(maximumBias))))
    }
    if let clamp { file.pairs.append(("mpt.attention.clamp_kqv", .number(Float(clamp)))) }
    var generator = SeededGenerator(seed: 11)
    func matrix(_ name: String, _ inputs: Int, _ outputs: Int, gain: Double = 1) {
      let deviation = gain / Double(inputs).squareRoot()
      file.tensors.append(
        (
          name + ".weight", [inputs, outputs],
          generator.normalFloats(inputs * outputs, deviation: deviation)
        ))
      if hasBiases && name.hasPrefix("blk") { bias(name, outputs) }
    }
    func bias(_ name: String, _ count: Int) {
      file.tensors.append((name + ".bias", [count], generator.normalFloats(count, deviation: 0.3)))
    }
    func norm(_ name: String, _ count: Int) {
      let weight = generator.normalFloats(count, deviation: 0.3).map { 1 + $0 }
      file.tensors.append((name + ".weight", [count], weight))
      if hasBiases { bias(name, count) }
    }
    matrix("token_embd", width, Self.vocabulary)
    if architecture == "bloom" { norm("token_embd_norm", width) }
    norm("output_norm", width)
    if hasOutput { matrix("output", width, Self.vocabulary) }
    for layer in 0..<Self.layers {
      let prefix = "blk.\(layer)."
      norm(prefix + "attn_norm", width)
      // Scores of a few units, so that attention is peaked.
      matrix(prefix + "attn_qkv", width, width + 2 * kvHeads * keyWidth, gain: 2)
      if hasHeadNorms {
        norm(prefix + "attn_q_norm", width)
        norm(prefix + "attn_k_norm", kvHeads * keyWidth)
      }
      matrix(prefix + "attn_output", width, width)
      norm(prefix + "ffn_norm", width)
      matrix(prefix + "ffn_up", width, Self.feedForwardWidth)
      matrix(prefix + "ffn_down", Self.feedForwardWidth, width)
    }
    return file
  }

  var twin: FusedBlockTwin {
    FusedBlockTwin(
      layers: Self.layers, width: width, queryHeads: queryHeads, kvHeads: kvHeads,
      keyWidth: keyWidth, feedForwardWidth: Self.feedForwardWidth, maximumBias: maximumBias,
      clamp: clamp, usesTanh: architecture == "bloom",
      tensors: Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0.values) }))
  }
}

@Suite("BLOOM and MPT against their twin in Double")
struct FusedBlockTests {
  static let variants = [
    FusedBlockModel(testDescription: "mpt"),
    FusedBlockModel(testDescription: "mpt, 3 heads", queryHeads: 3, kvHeads: 3),
    FusedBlockModel(
      testDescription: "mpt, 12 heads, bias 16", queryHeads: 12, kvHeads: 12, maximumBias: 16),
    FusedBlockModel(testDescription: "mpt, clamped", clamp: 1.5),
    FusedBlockModel(testDescription: "mpt, 2 KV heads", queryHeads: 6, kvHeads: 2),
    FusedBlockModel(testDescription: "mpt, biases", hasBiases: true),
    FusedBlockModel(testDescription: "mpt, norms", hasHeadNorms: true),
    FusedBlockModel(
      testDescription: "mpt, everything", queryHeads: 6, kvHeads: 3, maximumBias: 4, clamp: 1.5,
      hasBiases: true, hasHeadNorms: true, hasOutput: true),
    FusedBlockModel(
      testDescription: "bloom, 5 heads", architecture: "bloom", queryHeads: 5, kvHeads: 5,
      hasBiases: true),
    FusedBlockModel(
      testDescription: "bloom, output matrix", architecture: "bloom", hasBiases: true,
      hasOutput: true),
  ]

  private func load(_ file: TinyGGUF, scaling: RotaryScaling? = nil) throws -> DecoderModel {
    let folder = try TemporaryFolder()
    let path = try folder.write(file.bytes, to: "model.gguf")
    return try DecoderModel(
      file: GGUFFile(path: path), weightType: .float32, scaling: scaling, workers: .shared)
  }

  @Test("the twin agrees with Transformers in float64", arguments: ["bloom_alibi", "mpt_alibi"])
  func twin(name: String) throws {
    let folder = Fixtures.path("tiny/\(name)")
    let file = try GGUFFile(path: folder + "/\(name).gguf")
    let shape = try DecoderShape(of: file)
    let twin = FusedBlockTwin(
      layers: shape.layers, width: shape.width, queryHeads: shape.queryHeads,
      kvHeads: shape.kvHeads, keyWidth: shape.keyWidth, feedForwardWidth: shape.feedForwardWidth,
      maximumBias: 8, usesTanh: name == "bloom_alibi",
      tensors: Dictionary(
        uniqueKeysWithValues: try file.tensors.map { ($0.name, try $0.floats()) }))
    let references = try SafetensorsFixture(path: folder + "/refs.safetensors")
    let ids = Array(try references.integers("input_ids")[..<300])
    let expected = try references.floats("logits_300")
    let logits = twin.logits(of: ids, in: Double.self)
    // The references are rounded to f32, half a unit of which is 2^-24 of the largest logit; the two runs in Double are
    // 2^-29 times as far apart as runs in f32, which are 4e-5 (refs.json).
    let largest = Double(expected.map(\.magnitude).max() ?? 0)
    #expect(Distance(of: logits, to: expected).maximum <= 0x1p-24 * largest + 1e-9)
  }

  @Test("variants of heads, slopes, biases, norms and clamps", arguments: variants)
  func variant(model: FusedBlockModel) throws {
    let tokens = (0..<150).map { $0 * 37 % 29 }
    let exact = model.twin.logits(of: tokens, in: Double.self)
    // The same formulas in plain f32 are the yardstick, as Transformers' own f32 run is for the small checkpoints.
    let yardstick = Distance(of: model.twin.logits(of: tokens, in: Float.self), to: exact).maximum
    let decoder = try Decoder(
      model: load(model.file), keyType: .float32, valueType: .float32, maximumContext: 512,
      workers: .shared)
    let logits = try decoder.logits(of: tokens, in: decoder.makeSequence(), chunk: 150)
    let distance = Distance(of: logits, to: exact).maximum
    #expect(distance <= 4 * yardstick, "\(distance) of \(yardstick)")
    for chunk in [1, 7] {
      let chunked = try decoder.logits(of: tokens, in: decoder.makeSequence(), chunk: chunk)
      #expect(haveSameBits(chunked, logits), "chunks of \(chunk)")
    }
  }

  @Test("every variant computes something of its own")
  func variantsDiffer() throws {
    let tokens = (0..<20).map { $0 * 7 % 29 }
    var plain = FusedBlockModel(testDescription: "plain", queryHeads: 6, kvHeads: 6)
    let expected = plain.twin.logits(of: tokens, in: Double.self)
    plain.maximumBias = 16
    #expect(
      Distance(of: plain.twin.logits(of: tokens, in: Double.self), to: expected).maximum > 0.01)
    plain.maximumBias = 8
    plain.clamp = 1.5
    #expect(
      Distance(of: plain.twin.logits(of: tokens, in: Double.self), to: expected).maximum > 0.01)
  }

  @Test(
    "what is not supported or contradicts itself is named",
    arguments: [
      ("0", "learned positions"), ("missing", "mpt.attention.max_alibi_bias"),
      ("-8", "max_alibi_bias"), ("nan", "max_alibi_bias"),
    ])
  func maximumBias(value: String, words: String) throws {
    var file = FusedBlockModel(testDescription: "mpt").file
    file.pairs.removeAll { $0.key == "mpt.attention.max_alibi_bias" }
    if let number = Float(value) {
      file.pairs.append(("mpt.attention.max_alibi_bias", .number(number)))
    }
    try expectRefusal(of: file, words)
  }

  @Test("a clamp below 0 is refused, and 0 is none")
  func clamps() throws {
    try expectRefusal(of: FusedBlockModel(testDescription: "", clamp: -1).file, "clamp_kqv")
    #expect(try load(FusedBlockModel(testDescription: "", clamp: 0).file).shape.clamp == nil)
  }

  @Test("tensors too many or too few are named")
  func tensors() throws {
    var learned = FusedBlockModel(testDescription: "mpt").file
    learned.tensors.append(
      ("position_embd.weight", [32, 512], [Float](repeating: 0, count: 32 * 512)))
    try expectRefusal(of: learned, "position_embd.weight")
    var scaled = FusedBlockModel(testDescription: "mpt").file
    scaled.tensors.append(("blk.0.ffn.act.scales", [40], [Float](repeating: 1, count: 40)))
    try expectRefusal(of: scaled, "blk.0.ffn.act.scales")
    let bare = FusedBlockModel(testDescription: "bloom", architecture: "bloom", hasBiases: false)
    try expectRefusal(of: bare.file, "token_embd_norm.bias")
    var short = FusedBlockModel(testDescription: "bloom", architecture: "bloom", hasBiases: true)
      .file
    short.tensors.removeAll { $0.name == "blk.1.ffn_up.bias" }
    try expectRefusal(of: short, "blk.1.ffn_up.bias")
  }

  @Test("a rotary scaling is refused where nothing turns", arguments: ["mpt", "bloom"])
  func scaling(architecture: String) throws {
    let model = FusedBlockModel(
      testDescription: "", architecture: architecture, hasBiases: architecture == "bloom")
    try expectRefusal(of: model.file, "rotary", scaling: .linear(factor: 2))
    #expect(try load(model.file, scaling: RotaryScaling.none).shape.rotary == nil)
  }

  private func expectRefusal(
    of file: TinyGGUF, _ words: String, scaling: RotaryScaling? = nil
  ) throws {
    let error = #expect(throws: ModelError.self) { try load(file, scaling: scaling) }
    let description = "\(try #require(error))"
    #expect(description.contains(words), "\(description)")
    #expect(!description.contains("\n"))
  }
}
