public import ModelFiles

extension Vocabulary {
  /// Reads a model file's vocabulary; throws where it is of another kind, or its rules are not known.
  ///
  /// GGUF specification, `tokenizer.ggml.*`. A special token of −1 or 2³² − 1 means that there is none. A file
  /// that asks for an end token behind every text is not heeded: an answer would never start.
  public init(metadata: GGUFMetadata) throws(TokenizationError) {
    let source: Source
    do throws(ModelFileError) { source = try Source(metadata) } catch { throw .file(error) }
    guard source.model == "gpt2" else {
      throw .unsupportedModel(found: source.model, allowed: ["gpt2"])
    }
    let preTokenizer = try PreTokenizer(name: source.preTokenizer)
    let allowed = TokenType.undefined.rawValue...TokenType.byte.rawValue
    let types = try source.types?.enumerated().map { token, number throws(TokenizationError) in
      guard let type = TokenType(rawValue: number) else {
        throw .unknownTokenType(token: token, found: number, allowed: allowed)
      }
      return type
    }
    self.init(
      tokens: source.tokens, types: types, merges: source.merges, preTokenizer: preTokenizer,
      beginOfSequence: source.begin, endTokens: source.ends,
      addsBeginOfSequence: source.addsBegin ?? preTokenizer.addsBeginOfSequenceByDefault,
      chatTemplate: source.chatTemplate)
  }

  /// The values of the keys.
  private struct Source {
    var model: String
    var preTokenizer = ""
    var tokens: [String] = []
    var types: [Int]?
    var merges: [String] = []
    var begin: Int?
    var ends: [Int] = []
    var addsBegin: Bool?
    var chatTemplate: String?

    init(_ metadata: GGUFMetadata) throws(ModelFileError) {
      model = try metadata.requiredString("tokenizer.ggml.model")
      guard model == "gpt2" else { return }
      preTokenizer = try metadata.string("tokenizer.ggml.pre") ?? "default"
      tokens = try Self.texts("tokenizer.ggml.tokens", metadata)
      types = try metadata.integers("tokenizer.ggml.token_type")
      merges = try Self.texts("tokenizer.ggml.merges", metadata)
      begin = try Self.token("bos", metadata)
      for name in ["eos", "eot", "eom"] {
        if let token = try Self.token(name, metadata) { ends.append(token) }
      }
      addsBegin = try metadata.boolean("tokenizer.ggml.add_bos_token")
      chatTemplate = try metadata.string("tokenizer.chat_template")
    }

    private static func texts(
      _ key: String, _ metadata: GGUFMetadata
    ) throws(ModelFileError) -> [String] {
      guard let texts = try metadata.strings(key) else {
        throw .missingKey(path: metadata.path, key: key)
      }
      return texts
    }

    private static func token(
      _ name: String, _ metadata: GGUFMetadata
    ) throws(ModelFileError) -> Int? {
      let token = try metadata.integer("tokenizer.ggml.\(name)_token_id")
      return token == -1 || token == Int(UInt32.max) ? nil : token
    }
  }
}
