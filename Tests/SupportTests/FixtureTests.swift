import TestSupport
import Testing

@Suite("Fixtures are found and read")
struct FixtureTests {
  @Test("a reference checkpoint's tensors have the documented shapes")
  func tensors() throws {
    let file = try SafetensorsFixture(path: Fixtures.path("tiny/llama_default/refs.safetensors"))
    #expect(try file.shape("logits_300") == [300, 128])
    #expect(try file.floats("logits_300").count == 300 * 128)
    let ids = try file.integers("input_ids")
    #expect(ids.count == 4096)
    #expect(ids.allSatisfy { (0..<128).contains($0) })
  }

  @Test("a tensor that is not there, or of another type, is an error")
  func wrongTensors() throws {
    let file = try SafetensorsFixture(path: Fixtures.path("tiny/llama_default/refs.safetensors"))
    #expect(throws: SafetensorsFixture.ReadError.self) { try file.floats("logits_2") }
    #expect(throws: SafetensorsFixture.ReadError.self) { try file.floats("input_ids") }
  }

  @Test("the four-thousand-token text has its ids and log-probabilities")
  func json() throws {
    struct Run: Decodable { let ids: [Int] }
    struct Reference: Decodable { let logprob: [Double] }
    #expect(try Fixtures.json("real/smollm2_logprobs_4k.json", as: Run.self).ids.count == 4096)
    let reference = try Fixtures.json("real/smollm2_hf32_logprobs_4k.json", as: Reference.self)
    #expect(reference.logprob.count == 4095)
  }

  @Test("no fixture is over five megabytes")
  func sizes() throws {
    for folder in try Fixtures.names(in: "tiny") where !folder.hasSuffix(".md") {
      for name in try Fixtures.names(in: "tiny/\(folder)") {
        #expect(try Fixtures.bytes("tiny/\(folder)/\(name)").count <= 5_000_000)
      }
    }
  }
}
