import Generation
import ModelFiles
import Models
import StreamingAttention
import TestSupport
import Tokenization

/// A model with its tokenizer, loaded once for all tests.
struct TestModel {
  let model: DecoderModel
  let tokenizer: Tokenizer

  static let smolLM2 = Result {
    let file = try GGUFFile(path: try Models.smolLM2())
    return TestModel(
      model: try DecoderModel(file: file, workers: .shared),
      tokenizer: try Tokenizer(try Vocabulary(metadata: file.metadata)))
  }

  /// A small checkpoint of 128 tokens, which get letters for text, or what `texts` says in the alphabet of bytes.
  static func tiny(
    _ path: String = Fixtures.path("tiny/llama_default/llama_default.gguf"), endTokens: [Int] = [],
    texts: [Int: String] = [:]
  ) throws -> TestModel {
    let letters = (0..<128).map {
      texts[$0] ?? String(UnicodeScalar(UInt8($0 < 64 ? 33 + $0 : $0)))
    }
    return TestModel(
      model: try DecoderModel(
        file: try GGUFFile(path: path), weightType: .float32, workers: .shared),
      tokenizer: try Tokenizer(
        Vocabulary(
          tokens: letters, types: Array(repeating: .normal, count: 128), merges: [],
          preTokenizer: .smolLM, endTokens: endTokens)))
  }

  func session(
    maximumContext: Int? = nil, sampling: Sampling = .greedy, workers: Workers = .shared
  ) throws -> Session {
    try Session(
      model: model, tokenizer: tokenizer, maximumContext: maximumContext, sampling: sampling,
      workers: workers)
  }

  /// A prompt of ordinary text with that many tokens.
  func longPrompt(_ count: Int) throws -> [Int] {
    struct Prompt: Decodable { let ids: [Int] }
    let ids = try Fixtures.json("real/smollm2_logprobs_4k.json", as: Prompt.self).ids
    return Array(ids.prefix(count))
  }
}

extension TokenStream {
  /// Everything up to the end, or to the given number of tokens.
  func collected(_ count: Int = .max) async throws(GenerationError) -> [GeneratedToken] {
    var (tokens, iterator) = ([GeneratedToken](), makeAsyncIterator())
    while tokens.count < count, let token = try await iterator.next() { tokens.append(token) }
    return tokens
  }
}

extension [GeneratedToken] {
  var text: String { map(\.text).joined() }
  var ids: [Int] { map(\.id) }
}
