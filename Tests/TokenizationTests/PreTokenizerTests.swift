import TestSupport
import Testing
import Tokenization

@Suite("Pre-tokenizers")
struct PreTokenizerTests {
  private func pieces(_ rules: PreTokenizer, _ text: String) -> [String] {
    let bytes = Array(text.utf8)
    return rules.pieces(of: bytes).map { String(decoding: bytes[$0], as: UTF8.self) }
  }

  /// One text and the lengths of its pieces in scalars, as Python's `regex` package cuts it.
  struct Cut: Decodable {
    var text: String
    var smollm: [Int]
    var llama3: [Int]
    var qwen2: [Int]
  }

  @Test("500 random texts are cut as an independent engine runs the published expressions")
  func equalsRegularExpressions() throws {
    let cuts: [Cut] = try Fixtures.json("tokenizers/pieces.json")
    #expect(cuts.count == 500)
    for cut in cuts {
      for (rules, wanted) in [
        (PreTokenizer.smolLM, cut.smollm), (.llama3, cut.llama3), (.qwen2, cut.qwen2),
      ] {
        let found = pieces(rules, cut.text)
        #expect(
          found.map(\.unicodeScalars.count) == wanted, "\(rules) on \(cut.text.debugDescription)")
        #expect(found.joined().unicodeScalars.elementsEqual(cut.text.unicodeScalars))
      }
    }
  }

  @Test(
    "SmolLM's rules cut as GPT-2's, with every digit alone",
    arguments: [
      ("Hello, world!", ["Hello", ",", " world", "!"]),
      ("don't we'll THEY'RE", ["don", "'t", " we", "'ll", " THEY", "'", "RE"]),
      ("0x1F 12  3", ["0", "x", "1", "F", " ", "1", "2", "  ", "3"]),
      ("two  spaces \n\n end  ", ["two", " ", " spaces", " \n\n", " end", "  "]),
      ("a\nb\t\tc", ["a", "\n", "b", "\t", "\t", "c"]),
      ("!'s 's", ["!'", "s", " '", "s"]),
      ("²x½", ["²", "x", "½"]),
      ("e\u{301}a", ["e", "\u{301}", "a"]),
      ("", []),
    ])
  func smolLM(text: String, wanted: [String]) {
    #expect(pieces(.smolLM, text) == wanted)
  }

  @Test(
    "Llama 3's rules take three digits, one symbol before letters, and line ends with what precedes",
    arguments: [
      ("Hello, world!", ["Hello", ",", " world", "!"]),
      ("don't THEY'RE it'LL", ["don", "'t", " THEY", "'RE", " it", "'LL"]),
      ("it'ſ o'clock 'sam", ["it", "'ſ", " o", "'clock", " '", "sam"]),
      ("1234567 89", ["123", "456", "7", " ", "89"]),
      ("x = y;\n\n  z", ["x", " =", " y", ";\n\n", " ", " z"]),
      (" \n \t\n\tz\n", [" \n \t\n", "\tz", "\n"]),
      ("a  !b", ["a", " ", " !", "b"]),
      ("(foo)\t\tbar", ["(foo", ")", "\t", "\tbar"]),
      ("end  ", ["end", "  "]),
      ("\u{85}x\u{2028}\n1", ["\u{85}x", "\u{2028}\n", "1"]),
    ])
  func llama3(text: String, wanted: [String]) {
    #expect(pieces(.llama3, text) == wanted)
  }

  @Test("Qwen 2's rules differ from Llama 3's in digits alone")
  func qwen2() {
    #expect(pieces(.qwen2, "1234 'S a1b") == ["1", "2", "3", "4", " '", "S", " a", "1", "b"])
    #expect(pieces(.qwen2, "it'S;\n\nx") == ["it", "'S", ";\n\n", "x"])
  }

  @Test("bytes that are not UTF-8 count as symbols, one each", arguments: PreTokenizer.allCases)
  func invalidBytes(rules: PreTokenizer) {
    let bytes: [UInt8] = [0x61, 0xFF, 0xC3, 0x20, 0xE2, 0x82]
    #expect(rules.pieces(of: bytes) == [0..<1, 1..<3, 3..<6])
  }

  @Test("pieces follow each other without a gap, whatever the bytes", arguments: 0..<20)
  func piecesCover(seed: Int) {
    var generator = SeededGenerator(seed: UInt64(seed))
    let bytes = (0..<400).map { _ in UInt8.random(in: 0...255, using: &generator) }
    for rules in PreTokenizer.allCases {
      var end = 0
      for piece in rules.pieces(of: bytes) {
        #expect(piece.lowerBound == end && !piece.isEmpty)
        end = piece.upperBound
      }
      #expect(end == bytes.count)
    }
  }

  @Test("an unknown name is refused with the known ones")
  func unknownName() throws {
    let error = #expect(throws: TokenizationError.self) { try PreTokenizer(name: "tekken\n") }
    #expect(
      error?.description
        == "pre-tokenizer \"tekken\\n\" is not supported; supported: "
        + "smollm, llama-bpe, llama3, llama-v3, qwen2, deepseek-r1-qwen")
    #expect(try PreTokenizer(name: "llama-bpe") == .llama3)
  }
}
