import TestSupport
import Testing

@Suite("--full-precision-first and --full-precision-last")
struct FullPrecisionTests {
  @Test(
    "keep what they name in 16 bits, and nothing else",
    arguments: ["--full-precision-first", "--full-precision-last"])
  func kept(option: String) throws {
    let folder = Fixtures.path("tiny/llama_default")
    let references = try SafetensorsFixture(path: folder + "/refs.safetensors")
    let ids = try Array(references.integers("input_ids")[..<300])
    func logits(_ options: [String]) throws -> [Double] {
      try LogitsRun.report(
        model: folder + "/llama_default.gguf", ids: ids,
        ["--chunk", "50", "--threads", "1"] + options
      ).logprob
    }
    let types = ["--key-type", "int4", "--value-type", "int4"]
    let plain = try logits([])
    let coded = try logits(types + ["--full-precision-first", "0"])
    #expect(coded != plain)
    #expect(try logits(types + [option, "300"]) == plain)
    // Pages of 64 tokens, the third in codes only once the last step has read it.
    let rest = option == "--full-precision-last" ? ["--full-precision-first", "0"] : []
    let part = try logits(
      types + rest + [option, option == "--full-precision-first" ? "4" : "130"])
    #expect(part != plain && part != coded)
  }
}
