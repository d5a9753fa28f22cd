import TestSupport
import Testing
import Tokenization

@Suite("Tokenizer")
struct TokenizerTests {
  /// All 256 bytes, in the order of their values, as characters of GPT-2's alphabet.
  static let byteTokens: [String] = {
    var substitute: UInt32 = 0x100
    return (UInt32(0)...255).map { byte in
      let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xFF).contains(byte) && byte != 0xAD
      defer { if !isPrintable { substitute += 1 } }
      return String(Unicode.Scalar(isPrintable ? byte : substitute) ?? "?")
    }
  }()

  private func tokenizer(
    _ tokens: [String] = [], types: [TokenType]? = nil, merges: [String] = [],
    rules: PreTokenizer = .smolLM
  ) throws -> Tokenizer {
    let types = types ?? Array(repeating: .normal, count: tokens.count)
    return try Tokenizer(
      Vocabulary(
        tokens: Self.byteTokens + tokens, types: Array(repeating: .normal, count: 256) + types,
        merges: merges, preTokenizer: rules))
  }

  /// The definition, one merge at a time over the whole piece: the slow twin.
  private func mergedSlowly(_ piece: [String], _ merges: [String]) -> [String] {
    var parts = piece
    while true {
      let ranks = zip(parts, parts.dropFirst()).map { merges.firstIndex(of: $0 + " " + $1) }
      guard let best = ranks.compactMap({ $0 }).min(), let place = ranks.firstIndex(of: best) else {
        return parts
      }
      parts.replaceSubrange(place...place + 1, with: [parts[place] + parts[place + 1]])
    }
  }

  @Test("random merges over random words equal the definition", arguments: 0..<40)
  func equalsDefinition(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    var (words, merges) = (["a", "b", "c"], [String]())
    for _ in 0..<30 {
      guard let left = words.randomElement(using: &generator),
        let right = words.randomElement(using: &generator)
      else { continue }
      merges.append(left + " " + right)
      if !words.contains(left + right) { words.append(left + right) }
    }
    // A merge may come before those that make its parts.
    merges.shuffle(using: &generator)
    let tokenizer = try tokenizer(Array(words.dropFirst(3)), merges: merges)
    for length in [1, 2, 3, 17, 200] {
      let piece = (0..<length).map { _ in ["a", "b", "c"].randomElement(using: &generator) ?? "a" }
      let ids = tokenizer.encode(piece.joined(), specialTokens: .asText)
      let texts = try ids.map { String(decoding: try tokenizer.bytes(of: $0), as: UTF8.self) }
      #expect(texts == mergedSlowly(piece, merges))
    }
  }

  @Test("random bytes come back", arguments: 0..<30)
  func randomBytes(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    for rules in PreTokenizer.allCases {
      let tokenizer = try tokenizer(["he", "ll"], merges: ["h e", "l l"], rules: rules)
      let bytes = (0..<500).map { _ in UInt8.random(in: 0...255, using: &generator) }
      let ids = tokenizer.encode(bytes: bytes, specialTokens: .asText)
      #expect(try tokenizer.decode(ids) == bytes)
    }
  }

  @Test("Llama 3 takes a piece that is a token whole, others merge")
  func wholePieces() throws {
    let tokens = ["hello", "he", "ll"]
    let merges = ["h e", "l l"]
    #expect(
      try tokenizer(tokens, merges: merges, rules: .llama3).encode("hello", specialTokens: .asText)
        == [256])
    #expect(
      try tokenizer(tokens, merges: merges, rules: .qwen2).encode("hello", specialTokens: .asText)
        == [257, 258, 0x6F])
  }

  @Test("tokens of the user are found in any text, the longest first; control tokens never merge")
  func literals() throws {
    let tokenizer = try tokenizer(
      ["<t>", "<t>x", "<c>", "go"], types: [.userDefined, .userDefined, .control, .control])
    #expect(
      tokenizer.encode("a<t><t>x<c>go", specialTokens: .asText)
        == [0x61, 256, 257, 0x3C, 0x63, 0x3E, 0x67, 0x6F])
    #expect(tokenizer.encode("a<t><c>go", specialTokens: .parsed) == [0x61, 256, 258, 259])
    #expect(throws: TokenizationError.self) {
      try self.tokenizer(["go"], types: [.control], merges: ["g o"])
    }
    let llama = try self.tokenizer(["go"], types: [.control], rules: .llama3)
    #expect(llama.encode("go", specialTokens: .asText) == [0x67, 0x6F])
  }

  @Test("bytes without a token are left out and named")
  func missingBytes() throws {
    let tokenizer = try Tokenizer(
      Vocabulary(tokens: ["a", "b", "ab"], merges: ["a b"], preTokenizer: .smolLM))
    #expect(tokenizer.encode("aéb ab", specialTokens: .asText) == [0, 1, 2])
    #expect(tokenizer.unencodableBytes(in: "aéb ab") == [0xC3, 0xA9, 0x20])
  }

  @Test("of duplicate tokens the last is encoded to, of duplicate merges the first counts")
  func duplicates() throws {
    let tokenizer = try tokenizer(
      ["ab", "bc", "ab", ""], merges: ["a b", "b c", "a b", "b c", "a b"])
    #expect(tokenizer.encode("abc", specialTokens: .asText) == [258, 0x63])
    #expect(try tokenizer.decode([256, 257, 258, 259]) == Array("abbcab".utf8))
  }

  @Test("a token outside the byte alphabet decodes to itself and is never encoded to")
  func outsideTheAlphabet() throws {
    let tokenizer = try tokenizer(["日", "æĹ¥"], rules: .llama3)
    #expect(tokenizer.encode("日", specialTokens: .asText) == [257])
    #expect(try tokenizer.decode([256, 257]) == Array("日日".utf8))
  }

  @Test("a begin token stands in front of a text that starts a sequence, where the model wants it")
  func beginToken() throws {
    var vocabulary = Vocabulary(
      tokens: ["<s>", "a"], types: [.control, .normal], merges: [], preTokenizer: .smolLM,
      beginOfSequence: 0, addsBeginOfSequence: true)
    #expect(try Tokenizer(vocabulary).encodeFromBeginning("a", specialTokens: .asText) == [0, 1])
    #expect(try Tokenizer(vocabulary).encode("a", specialTokens: .asText) == [1])
    vocabulary.addsBeginOfSequence = false
    #expect(try Tokenizer(vocabulary).encodeFromBeginning("a", specialTokens: .asText) == [1])
  }

  @Test(
    "a broken vocabulary is refused",
    arguments: [
      (Vocabulary(tokens: [], merges: [], preTokenizer: .qwen2), TokenizationError.emptyVocabulary),
      (
        Vocabulary(tokens: ["a", "b"], types: [.normal], merges: [], preTokenizer: .qwen2),
        .wrongTypeCount(found: 1, wanted: 2)
      ),
      (
        Vocabulary(tokens: ["a"], merges: ["aa"], preTokenizer: .qwen2),
        .malformedMerge(index: 0, found: "aa")
      ),
      (
        Vocabulary(tokens: ["a"], merges: ["a "], preTokenizer: .qwen2),
        .malformedMerge(index: 0, found: "a ")
      ),
      (
        Vocabulary(tokens: ["a"], merges: [""], preTokenizer: .qwen2),
        .malformedMerge(index: 0, found: "")
      ),
      (
        Vocabulary(tokens: ["a", "aa"], merges: ["a a", "a b"], preTokenizer: .qwen2),
        .unknownMerge(index: 1, found: "a b", missing: "b")
      ),
      (
        Vocabulary(tokens: ["a", "b"], merges: ["a b"], preTokenizer: .qwen2),
        .unknownMerge(index: 0, found: "a b", missing: "ab")
      ),
      (
        Vocabulary(tokens: ["a", "日"], merges: ["日 a"], preTokenizer: .qwen2),
        .unknownMerge(index: 0, found: "日 a", missing: "日")
      ),
      (
        Vocabulary(tokens: ["a"], merges: [], preTokenizer: .qwen2, beginOfSequence: 1),
        .specialTokenOutOfRange(name: "the begin token", found: 1, count: 1)
      ),
      (
        Vocabulary(tokens: ["a"], merges: [], preTokenizer: .qwen2, endTokens: [0, -7]),
        .specialTokenOutOfRange(name: "an end token", found: -7, count: 1)
      ),
    ])
  func refused(vocabulary: Vocabulary, error: TokenizationError) {
    #expect(throws: error) { try Tokenizer(vocabulary) }
    #expect(!error.description.contains("\n"))
  }
}
