import TestSupport
import Testing
import Tokenization

@Suite("SmolLM2's tokenizer")
struct SmolLM2Tests {
  /// What llama.cpp made of texts, control tokens read as text.
  struct Reference: Decodable {
    struct Case: Decodable {
      var text: String
      var ids: [Int]
      var ids_with_special: [Int]
    }
    struct Prompt: Decodable {
      var n_tokens: Int
      var text: String
    }
    var cases: [Case]
    var prompts: [String: Prompt]
  }

  /// The ids of a run whose text stands among the reference's prompts.
  struct Run: Decodable {
    var prompt_ids: [Int]?
    var ids: [Int]?
  }

  let tokenizer: Tokenizer
  let reference: Reference

  init() throws {
    tokenizer = try SmolLM2.tokenizer.get()
    reference = try Fixtures.json("real/smollm2_tokenizer.json")
  }

  @Test("every reference case has llama.cpp's ids, and the ids its text")
  func cases() throws {
    #expect(reference.cases.count == 30)
    for item in reference.cases {
      #expect(tokenizer.encode(item.text, specialTokens: .asText) == item.ids, "\(item.text)")
      #expect(
        tokenizer.encodeFromBeginning(item.text, specialTokens: .asText) == item.ids_with_special)
      let kept = item.text.utf8.filter { !tokenizer.unencodableBytes(in: item.text).contains($0) }
      #expect(try tokenizer.decode(item.ids) == kept)
    }
  }

  @Test("every reference prompt has llama.cpp's ids, and the ids its text")
  func prompts() throws {
    #expect(reference.prompts.count == 6)
    for (name, prompt) in reference.prompts {
      let ids = tokenizer.encode(prompt.text, specialTokens: .asText)
      #expect(ids.count == prompt.n_tokens, "\(name)")
      #expect(try tokenizer.decode(ids) == Array(prompt.text.utf8))
    }
    for name in ["greedy_2k", "greedy_code", "greedy_short", "greedy_unicode", "logprobs_4k"] {
      let run: Run = try Fixtures.json("real/smollm2_\(name).json")
      let text = try #require(reference.prompts[name]?.text)
      #expect(tokenizer.encode(text, specialTokens: .asText) == run.prompt_ids ?? run.ids)
    }
  }

  @Test("control tokens are read from trusted text only")
  func specialTokens() throws {
    let text = "<|im_start|>user\nHi<|im_end|>"
    #expect(tokenizer.encode(text, specialTokens: .parsed) == [1, 4093, 198, 26843, 2])
    let ids = tokenizer.encode(text, specialTokens: .asText)
    #expect(ids.allSatisfy { $0 >= SmolLM2.controlCount })
    #expect(try tokenizer.decode([1, 26843, 2, 0]) == Array("Hi".utf8))
    #expect(
      try tokenizer.decode([1, 26843, 2], specialTokens: .named)
        == Array("<|im_start|>Hi<|im_end|>".utf8))
  }

  @Test("an answer ends at <|im_end|> and <|endoftext|>")
  func endTokens() {
    #expect(tokenizer.endTokens == [0, 2])
    #expect(tokenizer.isEnd(2) && !tokenizer.isEnd(1))
    #expect(tokenizer.beginOfSequence == nil)
  }

  @Test("random Unicode comes back, but for the bytes that the vocabulary lacks", arguments: 0..<50)
  func randomUnicode(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    var text = ""
    for _ in 0..<200 {
      let bound = [0x80, 0x800, 0x1_0000, 0x11_0000].randomElement(using: &generator) ?? 0x80
      let value = UInt32(generator.integer(in: 0..<bound))
      if let scalar = Unicode.Scalar(value) { text.unicodeScalars.append(scalar) }
    }
    let ids = tokenizer.encode(text, specialTokens: .asText)
    let lacking = tokenizer.unencodableBytes(in: text)
    #expect(try tokenizer.decode(ids) == text.utf8.filter { !lacking.contains($0) })
  }

  @Test("a run of a million equal letters does not take quadratic time and comes back")
  func longRun() throws {
    for letter in [UInt8(ascii: "a"), UInt8(ascii: " "), UInt8(ascii: "-")] {
      let bytes = [UInt8](repeating: letter, count: 1 << 20)
      let start = ContinuousClock.now
      let ids = tokenizer.encode(bytes: bytes, specialTokens: .asText)
      // n log n is 2^20 · 20 steps: below 1 s optimised, 5 s in a debug build. Quadratic work is 2^40 steps, more
      // than 1,000 s at one a nanosecond; the bound lies between the two for slow machines, too.
      #expect(ContinuousClock.now - start < .seconds(600))
      #expect(try tokenizer.decode(ids) == bytes)
    }
  }

  @Test("ids outside the vocabulary are refused", arguments: [-1, 49_152, Int.max, Int.min])
  func outOfRange(token: Int) {
    #expect(throws: TokenizationError.tokenOutOfRange(found: token, count: 49_152)) {
      try tokenizer.decode([26843, token])
    }
  }
}
