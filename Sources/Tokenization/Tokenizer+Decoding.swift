extension Tokenizer {
  /// Whether control tokens show in decoded text.
  public enum DecodedSpecialTokens: Sendable {
    /// They have no text.
    case omitted
    /// They show by name, such as "<|im_end|>".
    case named
  }

  /// The bytes of these tokens; parts of a character where the tokens end inside one.
  public func decode(
    _ tokens: some Sequence<Int>, specialTokens: DecodedSpecialTokens = .omitted
  ) throws(TokenizationError) -> [UInt8] {
    var output: [UInt8] = []
    for token in tokens { output += try bytes(of: token, specialTokens: specialTokens) }
    return output
  }

  /// The bytes of one token; throws where there is no such token.
  public func bytes(
    of token: Int, specialTokens: DecodedSpecialTokens = .omitted
  ) throws(TokenizationError) -> ArraySlice<UInt8> {
    guard token >= 0, token < count else { throw .tokenOutOfRange(found: token, count: count) }
    if specialTokens == .omitted, !types[token].hasText { return [] }
    return tables.tokens.bytes(of: token)
  }
}
