import ModelFiles
import Models
import StreamingAttention
import TestSupport

/// A small checkpoint with random weights and its reference tokens.
struct TinyModel {
  static let names = [
    "llama_default", "llama_linear", "llama_llama3", "llama_yarn", "mistral_swa", "qwen2", "qwen3",
    "bloom_alibi", "mpt_alibi",
  ]

  let model: DecoderModel
  let ids: [Int]

  /// Weights in f32, so that nothing but the order of sums separates two ways of computing.
  init(_ name: String, extension: RotaryScaling? = nil) throws {
    let folder = Fixtures.path("tiny/\(name)")
    model = try DecoderModel(
      file: GGUFFile(path: folder + "/\(name).gguf"), weightType: .float32,
      extension: `extension`, workers: .shared)
    ids = try SafetensorsFixture(path: folder + "/refs.safetensors").integers("input_ids")
  }

  func decoder(workers: Workers = .shared, maximumContext: Int = 4096) throws -> Decoder {
    try Decoder(
      model: model, keyType: .float32, valueType: .float32, maximumContext: maximumContext,
      workers: workers)
  }
}

extension Decoder {
  /// Appends tokens in chunks, none across an extension, and returns the logits of all of them, `[token][vocabulary]`.
  func logits(of tokens: some Collection<Int>, in sequence: SequenceID, chunk: Int) throws
    -> [Float]
  {
    var result: [Float] = []
    var rest = Array(tokens)[...]
    while !rest.isEmpty {
      let count = stepCount(min(chunk, rest.count), from: try cache.length(of: sequence))
      let part = Array(rest.prefix(count))
      rest = rest.dropFirst(count)
      try step([DecoderInput(sequence, part)])
      var logits: [Float] = []
      try self.logits(ofRows: 0..<part.count, into: &logits)
      result += logits
    }
    return result
  }
}

/// Whether two lists have the same bits.
///
/// A plain Bool: where `#expect` sees both lists, it prints them when they differ.
func haveSameBits(_ one: [Float], _ other: [Float]) -> Bool {
  one.elementsEqual(other) { $0.bitPattern == $1.bitPattern }
}
