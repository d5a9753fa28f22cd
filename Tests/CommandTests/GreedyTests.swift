import Foundation
import ModelFiles
import TestSupport
import Testing
import Tokenization

@Suite("Greedy continuations of SmolLM2 are pinned token by token", .serialized)
struct GreedyTests {
  static let names = ["short", "code", "unicode", "2k"]
  /// Another order of f32 sums moves log-probabilities by up to 1e-3; a lead above this is no near-tie.
  private static let clearLead = 0.05

  private struct Prompt: Decodable { let prompt_ids: [Int] }
  private struct Texts: Decodable {
    struct Text: Decodable { let text: String }
    let prompts: [String: Text]
  }
  private struct Continuation: Decodable {
    struct Step: Decodable {
      /// Pairs of a token and its log-probability, the best one first.
      let top5: [[Double]]
      var gap: Double { top5[0][1] - top5[1][1] }
    }
    let output_ids: [Int]
    let steps: [Step]
  }

  private func reference(_ name: String) throws -> Continuation {
    try Fixtures.json("real/smollm2_hf32_greedy_\(name).json")
  }

  @Test("the best token is the reference's wherever its lead is clear", arguments: names)
  func teacherForced(name: String) throws {
    let prompt = try Fixtures.json("real/smollm2_greedy_\(name).json", as: Prompt.self).prompt_ids
    let file = try reference(name)
    let logits = try LogitsRun.logits(
      model: try Models.smolLM2(), ids: prompt + file.output_ids.dropLast(), LogitsRun.single)
    var compared = 0
    for (index, step) in file.steps.enumerated() where step.gap > Self.clearLead {
      #expect(logits.best(prompt.count - 1 + index) == file.output_ids[index], "step \(index)")
      compared += 1
    }
    #expect(compared > file.steps.count / 2)
  }

  @Test("generate gives the reference's text up to its first near-tie", arguments: names)
  func generate(name: String) throws {
    let model = try Models.smolLM2()
    let texts = try Fixtures.json("real/smollm2_tokenizer.json", as: Texts.self).prompts
    let text = try #require(texts["greedy_\(name)"]).text
    let file = try reference(name)
    let clear = file.steps.firstIndex { $0.gap <= Self.clearLead } ?? file.steps.count
    let tokenizer = try Tokenizer(try Vocabulary(metadata: GGUFFile(path: model).metadata))
    let ended = clear == file.steps.count && tokenizer.isEnd(file.output_ids[clear - 1])
    let bytes = try file.output_ids[..<(ended ? clear - 1 : clear)].flatMap {
      try tokenizer.bytes(of: $0)
    }
    let folder = try TemporaryFolder()
    let outcome = try Attend.run(
      ["generate", model, "--prompt-file", try folder.write(text, to: "prompt.txt")]
        + ["--max-tokens", "\(file.steps.count + 8)"] + LogitsRun.single)
    #expect(outcome.exitStatus == 0)
    if ended {
      // Nothing follows the end token but the line's end.
      #expect(outcome.output == bytes + [UInt8(ascii: "\n")])
    } else {
      #expect(outcome.output.starts(with: bytes))
    }
  }
}
