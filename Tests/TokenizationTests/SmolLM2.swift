import TestSupport
import Tokenization

/// SmolLM2's vocabulary, from the fixtures that were taken out of its GGUF file.
enum SmolLM2 {
  /// Tokens 0 to 16 are control tokens.
  static let controlCount = 17

  static func vocabulary() throws -> Vocabulary {
    let tokens = try lines("tokens.txt")
    let types = tokens.indices.map { $0 < controlCount ? TokenType.control : .normal }
    return Vocabulary(
      tokens: tokens, types: types, merges: try lines("merges.txt"), preTokenizer: .smolLM,
      beginOfSequence: 1, endTokens: [2],
      chatTemplate: String(
        decoding: try Fixtures.bytes("tokenizers/smollm2/chat_template.jinja"), as: UTF8.self))
  }

  static let tokenizer = Result { try Tokenizer(vocabulary()) }

  private static func lines(_ name: String) throws -> [String] {
    try Fixtures.bytes("tokenizers/smollm2/" + name).split(separator: UInt8(ascii: "\n"))
      .map { String(decoding: $0, as: UTF8.self) }
  }
}
