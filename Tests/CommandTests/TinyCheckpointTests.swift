import TestSupport
import Testing

@Suite("Small checkpoints agree with float64 logits")
struct TinyCheckpointTests {
  static let names = [
    "llama_default", "llama_linear", "llama_llama3", "llama_yarn", "mistral_swa", "qwen2", "qwen3",
  ]
  static let alibiNames = ["bloom_alibi", "mpt_alibi"]

  private struct References: Decodable {
    struct Length: Decodable { let hf_float32_max_abs_dev: Double }
    let lengths: [String: Length]
  }

  @Test("whole, in chunks and token by token", arguments: names, [1, 17, 300, 4096])
  func logits(name: String, length: Int) throws {
    _ = try compare(name, length, [])
  }

  @Test("with ALiBi, every key read", arguments: alibiNames, [1, 17, 300, 4096])
  func dense(name: String, length: Int) throws {
    let attention = try compare(name, length, ["--alibi-epsilon", "0"])
    #expect(attention.keyValueBytesRead > 0)
    #expect(attention.keyValueBytesSkipped == 0 && attention.skippedMassBound == 0)
  }

  @Test("with ALiBi, keys beyond the horizon left out", arguments: alibiNames, [1, 17, 300, 4096])
  func horizon(name: String, length: Int) throws {
    let attention = try compare(name, length, ["--alibi-epsilon", "1e-7"])
    #expect(attention.keyValueBytesRead > 0)
    #expect(attention.skippedMassBound <= Double(Float(1e-7)))
    // The steepest head halves a key's weight at least every other token: at 4,096 tokens, four leaves, most are dark.
    #expect((attention.keyValueBytesSkipped > 0) == (length == 4096))
    #expect((attention.skippedMassBound > 0) == (length == 4096))
  }

  /// Compares with the references, and returns what attention read in the run as a whole.
  private func compare(
    _ name: String, _ length: Int, _ options: [String]
  ) throws -> LogitsRun.Attention {
    let folder = Fixtures.path("tiny/\(name)")
    let tensors = try SafetensorsFixture(path: folder + "/refs.safetensors")
    let ids = Array(try tensors.integers("input_ids")[..<length])
    func run(chunk: Int) throws -> (logits: LogitsFile, attention: LogitsRun.Attention) {
      try LogitsRun.run(
        model: folder + "/\(name).gguf", ids: ids,
        LogitsRun.single + options + ["--chunk", "\(chunk)"])
    }
    let (whole, attention) = try run(chunk: length)
    let expected = try tensors.floats("logits_\(length)")
    let rows = length == 4096 ? try tensors.integers("rows_4096") : Array(0..<length)
    try #require(expected.count == rows.count * whole.vocabulary)
    let distance = Distance(of: rows.flatMap { whole.row($0) }, to: expected)
    // Four times as far as Transformers' own f32 run of this checkpoint falls (refs.json, "f32 dev" in the README of
    // the references): f32 weights, activations and cache here too, sums in another order.
    let references = try Fixtures.json("tiny/\(name)/refs.json", as: References.self)
    let bound = 4 * (try #require(references.lengths["\(length)"]).hf_float32_max_abs_dev)
    #expect(distance.maximum <= bound, "\(distance.maximum / bound) of the bound")
    // A row's logits depend on its sequence alone. Up to 8,192 tokens the leaves of all chunks are cut alike, so no
    // bit may differ.
    for chunk in [1, 7, 64, 1000] where chunk < length {
      let chunked = try run(chunk: chunk).logits
      let isSame = chunked.bytes == whole.bytes
      #expect(isSame, "chunks of \(chunk)")
    }
    return attention
  }
}
