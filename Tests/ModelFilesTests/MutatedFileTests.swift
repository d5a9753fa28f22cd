import ModelFiles
import TestSupport
import Testing

@Suite("Mutated GGUF files")
struct MutatedFileTests {
  /// Files of each kind and origin: 10 kinds, 3 origins, 1,200 files.
  static let seeds: Range<UInt64> = 0..<40

  private struct Tally {
    var opened = 0
    var kinds: Set<String> = []
  }

  /// Reads mutated copies of a file to the last byte; every error must be typed and one line.
  private func mutate(
    _ original: [UInt8], headerByteCount: Int, by mutation: Mutation
  ) throws -> Tally {
    let folder = try TemporaryFolder()
    var tally = Tally()
    for seed in Self.seeds {
      var generator = SeededGenerator(seed: seed, stream: UInt64(original.count))
      var bytes = original
      mutation.apply(to: &bytes, headerByteCount: headerByteCount, using: &generator)
      let path = try folder.write(bytes, to: "\(seed).gguf")
      let reading = Reading(path)
      for error in reading.errors {
        #expect(error.isOneLine(about: path), "\(mutation), seed \(seed): \(error)")
        #expect(error.kind != "notFound" && error.kind != "unreadable", "\(mutation), seed \(seed)")
      }
      switch reading {
      case .opened(let file, _):
        tally.opened += 1
        #expect(file.tensors.allSatisfy { $0.byteRange.upperBound <= bytes.count })
      case .refused(let error): tally.kinds.insert(error.kind)
      }
    }
    return tally
  }

  @Test("mutated files are read or refused", arguments: Mutation.allCases)
  func mutations(_ mutation: Mutation) throws {
    let sample = GGUFBuilder.sample()
    let first = try mutate(
      sample.bytes, headerByteCount: sample.header.count, by: mutation)
    let values = try Fixtures.bytes("field-cases/all-value-types/model.gguf")
    let second = try mutate(values, headerByteCount: 2048, by: mutation)
    let split = try Fixtures.bytes("field-cases/split-two/model-00001-of-00002.gguf")
    let third = try mutate(split, headerByteCount: 1536, by: mutation)
    // Where nothing is refused, the mutation misses the parts that matter.
    #expect(first.kinds.count >= 1 && second.kinds.count >= 1)
    // A shard whose sibling is missing does not open, whatever else is wrong with it.
    #expect(third.opened <= Self.seeds.count / 4)
    // Mutations that keep the length spare some files; the others shift what follows, and none may be left whole.
    if [.flippedBits, .changedBytes, .changedNumber, .zeroed].contains(mutation) {
      #expect(first.opened + second.opened > 0)
    }
  }
}
