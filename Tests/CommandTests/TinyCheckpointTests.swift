import TestSupport
import Testing

@Suite("Small checkpoints agree with float64 logits")
struct TinyCheckpointTests {
  static let names = [
    "llama_default", "llama_linear", "llama_llama3", "llama_yarn", "mistral_swa", "qwen2", "qwen3",
    "bloom_alibi", "mpt_alibi",
  ]

  private struct References: Decodable {
    struct Length: Decodable { let hf_float32_max_abs_dev: Double }
    let lengths: [String: Length]
  }

  @Test("whole, in chunks and token by token", arguments: names, [1, 17, 300, 4096])
  func logits(name: String, length: Int) throws {
    let folder = Fixtures.path("tiny/\(name)")
    let tensors = try SafetensorsFixture(path: folder + "/refs.safetensors")
    let ids = Array(try tensors.integers("input_ids")[..<length])
    func run(chunk: Int) throws -> LogitsFile {
      try LogitsRun.logits(
        model: folder + "/\(name).gguf", ids: ids, LogitsRun.single + ["--chunk", "\(chunk)"])
    }
    let whole = try run(chunk: length)
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
      let chunked = try run(chunk: chunk)
      #expect(chunked.bytes == whole.bytes, "chunks of \(chunk)")
    }
  }
}
