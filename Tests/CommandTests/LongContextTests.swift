import TestSupport
import Testing

/// One at a time: each run uses every core for a minute or two.
@Suite("SmolLM2 reads on beyond its trained context", .serialized)
struct LongContextTests {
  private struct ByPosition: Decodable {
    let ids: [Int]
    let bin: Int
    let nll_by_bin: [Double]
  }

  @Test(
    "likelihood by position is the reference's under each RoPE scaling",
    arguments: [
      ("none", []),
      ("linear4", ["--rope-scaling", "linear", "--rope-factor", "4"]),
      (
        "yarn4",
        ["--rope-scaling", "yarn", "--rope-factor", "4", "--rope-original-context", "8192"]
      ),
    ])
  func scalings(name: String, options: [String]) throws {
    let expected = try Fixtures.json("real/smollm2_ppl_\(name).json", as: ByPosition.self)
    let report = try LogitsRun.report(
      model: try Models.smolLM2(), ids: expected.ids, options, timeLimit: .seconds(1_200))
    for (index, likelihood) in expected.nll_by_bin.enumerated() {
      let bin = report.logprob[(index * expected.bin)...].prefix(expected.bin)
      let mean = -bin.reduce(0, +) / Double(bin.count)
      // llama.cpp's 8-bit activations move the mean of 1,024 tokens by up to 1 %.
      #expect(abs(mean / likelihood - 1) <= 0.02, "positions from \(index * expected.bin)")
    }
  }
}
