import ModelFiles
import TestSupport
import Testing
import Tokenization

@Suite("Vocabularies in GGUF metadata")
struct VocabularyMetadataTests {
  private static let complete: [(key: String, value: MetadataFile.Value)] = [
    ("tokenizer.ggml.model", .string("gpt2")),
    ("tokenizer.ggml.pre", .string("qwen2")),
    ("tokenizer.ggml.tokens", .strings(["a", "b", "ab", "<s>", "</s>", "<u>"])),
    ("tokenizer.ggml.token_type", .int32s([1, 1, 1, 3, 3, 4])),
    ("tokenizer.ggml.merges", .strings(["a b"])),
    ("tokenizer.ggml.bos_token_id", .uint32(3)),
    ("tokenizer.ggml.eos_token_id", .uint32(4)),
    ("tokenizer.ggml.eot_token_id", .int32(-1)),
    ("tokenizer.ggml.add_bos_token", .bool(true)),
    ("tokenizer.chat_template", .string("{{ x }}")),
  ]

  /// The vocabulary of `complete` without some keys and with some values changed.
  private func vocabulary(
    without keys: Set<String> = [], changing changes: [String: MetadataFile.Value] = [:]
  ) throws -> Vocabulary {
    let values = Self.complete.filter { !keys.contains($0.key) }
      .map { ($0.key, changes[$0.key] ?? $0.value) }
    return try Vocabulary(metadata: MetadataFile(values: values).metadata())
  }

  @Test("every key is read")
  func complete() throws {
    let wanted = Vocabulary(
      tokens: ["a", "b", "ab", "<s>", "</s>", "<u>"],
      types: [.normal, .normal, .normal, .control, .control, .userDefined], merges: ["a b"],
      preTokenizer: .qwen2, beginOfSequence: 3, endTokens: [4], addsBeginOfSequence: true,
      chatTemplate: "{{ x }}")
    #expect(try vocabulary() == wanted)
    let tokenizer = try Tokenizer(vocabulary())
    #expect(tokenizer.encodeFromBeginning("ab<u>", specialTokens: .asText) == [3, 2, 5])
  }

  @Test("keys that may be absent have their defaults")
  func defaults() throws {
    let found = try vocabulary(
      without: [
        "tokenizer.ggml.token_type", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.add_bos_token",
        "tokenizer.chat_template",
      ], changing: ["tokenizer.ggml.eos_token_id": .uint32(.max)])
    #expect(found.types.allSatisfy { $0 == .normal })
    #expect(found.beginOfSequence == nil && found.endTokens.isEmpty && found.chatTemplate == nil)
    #expect(!found.addsBeginOfSequence)
    let llama = try vocabulary(
      without: ["tokenizer.ggml.add_bos_token"],
      changing: ["tokenizer.ggml.pre": .string("llama-bpe")])
    #expect(llama.addsBeginOfSequence)
  }

  @Test("other tokenizers, unknown rules and types are refused with what is supported")
  func refused() throws {
    #expect(throws: TokenizationError.unsupportedModel(found: "llama", allowed: ["gpt2"])) {
      try self.vocabulary(changing: ["tokenizer.ggml.model": .string("llama")])
    }
    let error = #expect(throws: TokenizationError.self) {
      try self.vocabulary(without: ["tokenizer.ggml.pre"])
    }
    #expect(error?.description.hasPrefix("pre-tokenizer \"default\" is not supported") == true)
    #expect(throws: TokenizationError.unknownTokenType(token: 2, found: 7, allowed: 0...6)) {
      try self.vocabulary(changing: ["tokenizer.ggml.token_type": .int32s([1, 1, 7, 3, 3, 4])])
    }
    for key in ["tokenizer.ggml.model", "tokenizer.ggml.merges", "tokenizer.ggml.tokens"] {
      let error = #expect(throws: TokenizationError.self) { try self.vocabulary(without: [key]) }
      #expect(error?.description.contains(key) == true)
    }
    let mistyped = #expect(throws: TokenizationError.self) {
      try self.vocabulary(changing: ["tokenizer.ggml.tokens": .string("a")])
    }
    #expect(mistyped?.description.contains("tokenizer.ggml.tokens") == true)
  }

  @Test("SmolLM2's file holds the vocabulary of the fixtures")
  func smolLM2() throws {
    let metadata = try GGUFFile(path: try Models.smolLM2()).metadata
    #expect(try Vocabulary(metadata: metadata) == SmolLM2.vocabulary())
  }
}
