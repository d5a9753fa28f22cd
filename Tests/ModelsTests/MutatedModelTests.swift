import Foundation
import ModelFiles
import Models
import StreamingAttention
import TestSupport
import Testing

@Suite("Models with damaged metadata")
struct MutatedModelTests {
  /// A small model's bytes, and where its metadata end.
  private func original() throws -> (bytes: [UInt8], headerByteCount: Int) {
    let path = Fixtures.path("tiny/llama_default/llama_default.gguf")
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    let file = try GGUFFile(path: path)
    return (bytes, file.tensors.map(\.byteRange.lowerBound).min() ?? bytes.count)
  }

  private func load(_ path: String) -> String? {
    do {
      let model = try DecoderModel(
        file: try GGUFFile(path: path), weightType: .float32, workers: Workers(count: 1))
      let decoder = try Decoder(
        model: model, keyType: .float32, valueType: .float32, maximumContext: 64,
        workers: Workers(count: 1), memoryLimit: 64 << 20)
      let sequence = try decoder.makeSequence()
      try decoder.step([DecoderInput(sequence, [0, 1, 2])])
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test("a flipped bit in front of the tensors loads and runs, or is refused in one line")
  func flips() throws {
    let (bytes, headerByteCount) = try original()
    let folder = try TemporaryFolder()
    var (loaded, refused) = (0, 0)
    for seed in 0..<UInt64(200) {
      var generator = SeededGenerator(seed: seed, stream: 40)
      var copy = bytes
      let place = generator.integer(in: 4..<headerByteCount)
      copy[place] ^= 1 << UInt8(generator.integer(in: 0..<8))
      let path = try folder.write(copy, to: "\(seed).gguf")
      if let error = load(path) {
        refused += 1
        #expect(!error.isEmpty && !error.contains("\n"), "seed \(seed): \(error)")
      } else {
        loaded += 1
      }
    }
    // Names and padding may change without harm; sizes may not.
    #expect(refused > 100 && loaded > 3)
  }

  @Test("a count of layers beyond the tensors costs no more than the layers that are there")
  func layers() throws {
    var (bytes, _) = try original()
    let key = Array("llama.block_count".utf8)
    let place = try #require(
      bytes.indices.first { bytes[$0...].starts(with: key) }, "the key stands in the file")
    // Behind the key: its value's type, then the value.
    bytes[place + key.count + 4 + 2] = 1
    let folder = try TemporaryFolder()
    let error = try #require(load(try folder.write(bytes, to: "layers.gguf")))
    #expect(error.contains("blk.2."))
  }
}
