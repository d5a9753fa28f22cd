import ModelFiles
import TestSupport
import Testing

/// One way to break a file, and how the reader must take it.
struct Breakage: Sendable, CustomTestStringConvertible {
  let what: String
  let kind: String
  /// In the message.
  let word: String
  let bytes: [UInt8]
  var testDescription: String { what }

  init(_ what: String, _ kind: String, _ word: String, _ change: (inout GGUFBuilder) -> Void) {
    (self.what, self.kind, self.word) = (what, kind, word)
    var builder = GGUFBuilder.sample()
    change(&builder)
    bytes = builder.bytes
  }
}

@Suite("Broken GGUF files")
struct BrokenFileTests {
  private static func arrays(nested depth: Int, end: [UInt8]) -> [UInt8] {
    var bytes = text("deep") + little(UInt32(9))
    for _ in 1..<depth { bytes += little(UInt32(9)) + little(UInt64(1)) }
    return bytes + end
  }

  static let header: [Breakage] = [
    Breakage("version 1", "unsupportedVersion", "only 2 to 3") { $0.version = 1 },
    Breakage("version 4", "unsupportedVersion", "version 4") { $0.version = 4 },
    Breakage("byte-swapped version", "bigEndian", "big-endian") { $0.version = 0x0300_0000 },
    Breakage("2^63 tensors", "tooLarge", "9223372036854775808") { $0.tensorCount = 1 << 63 },
    Breakage("as many tensors as bytes", "tooLarge", "number of tensors") {
      $0.tensorCount = UInt64($0.bytes.count)
    },
    Breakage("one tensor too many", "truncated", "tensor 8 of 8") {
      // Nothing follows the entries.
      for index in $0.tensors.indices { $0.tensors[index].bytes = [] }
      $0.alignment = 1
      $0.tensorCount = 8
    },
    Breakage("2^64 - 1 keys", "tooLarge", "metadata keys") { $0.keyCount = .max },
    Breakage("one key too many", "truncated", "the name of tensor 1") {
      $0.keyCount = UInt64($0.pairs.count) + 1
    },
  ]

  static let metadata: [Breakage] = [
    Breakage("a key of 2^63 bytes", "truncated", "9223372036854775808") {
      $0.rawPairs = [little(UInt64(1) << 63)]
    },
    Breakage("a key of no bytes", "invalid", "empty") { $0.pairs[3].key = "" },
    Breakage("a key of 65,536 bytes", "tooLarge", "65535") {
      $0.pairs[3].key = String(repeating: "k", count: 65_536)
    },
    Breakage("a key that is no text", "invalid", "UTF-8") {
      $0.rawPairs = [little(UInt64(2)) + [0xc3, 0x28] + little(UInt32(0)) + [0]]
    },
    Breakage("a key twice", "duplicate", "a.u8") { $0.pairs[3].key = "a.u8" },
    Breakage("a value type of 13", "invalid", "0 to 12") {
      $0.rawPairs = [text("odd") + little(UInt32(13)) + [0]]
    },
    Breakage("a bool of 2", "invalid", "0 and 1") {
      $0.rawPairs = [text("odd") + little(UInt32(7)) + [2]]
    },
    Breakage("a bool of 2 in an array", "invalid", "0 and 1") {
      $0.rawPairs = [text("odd") + little(UInt32(9)) + little(UInt32(7)) + little(UInt64(1)) + [2]]
    },
    Breakage("a string of 2^64 - 1 bytes", "truncated", "18446744073709551615") {
      $0.rawPairs = [text("odd") + little(UInt32(8)) + little(UInt64.max)]
    },
    Breakage("an array of 2^36 bytes", "tooLarge", "68719476736") {
      $0.rawPairs = [text("odd") + little(UInt32(9)) + little(UInt32(0)) + little(UInt64(1) << 36)]
    },
    Breakage("an array of 2^61 + 1 numbers, whose size wraps to 8", "tooLarge", "odd") {
      $0.rawPairs = [
        text("odd") + little(UInt32(9)) + little(UInt32(10)) + little(UInt64(1) << 61 + 1)
      ]
    },
    Breakage("an array of 2^63 strings", "tooLarge", "odd") {
      $0.rawPairs = [text("odd") + little(UInt32(9)) + little(UInt32(8)) + little(UInt64(1) << 63)]
    },
    Breakage("arrays nested nine deep", "tooLarge", "nesting") {
      $0.rawPairs = [arrays(nested: 9, end: little(UInt32(0)) + little(UInt64(0)))]
    },
    Breakage("arrays nested 100,000 deep", "tooLarge", "nesting") {
      $0.rawPairs = [arrays(nested: 100_000, end: [])]
    },
    Breakage("alignment 0", "wrongValue", "multiple of 8") { $0.pairs[1].value = .uint32(0) },
    Breakage("alignment 12", "wrongValue", "multiple of 8") { $0.pairs[1].value = .uint32(12) },
    Breakage("alignment -32", "wrongValue", "multiple of 8") { $0.pairs[1].value = .int32(-32) },
    Breakage("alignment 2^64 - 8", "wrongValue", "alignment") {
      $0.pairs[1].value = .uint64(.max - 7)
    },
    Breakage("alignment 2^62", "truncated", "tensor t.f32") {
      $0.pairs[1].value = .uint64(1 << 62)
      for index in $0.tensors.indices { $0.tensors[index].offset = 0 }
    },
    Breakage("an alignment that is text", "wrongType", "alignment") {
      $0.pairs[1].value = .string("32")
    },
    Breakage("a split count that is text", "wrongType", "split.count") {
      $0.pairs.append(("split.count", .string("2")))
    },
    Breakage("100,000 shards", "wrongValue", "99999") {
      $0.pairs.append(("split.count", .uint32(100_000)))
    },
  ]

  static let tensors: [Breakage] = [
    Breakage("a tensor twice", "duplicate", "t.f32") { $0.tensors[1].name = "t.f32" },
    Breakage("a tensor without a name", "invalid", "empty") { $0.tensors[1].name = "" },
    Breakage("five dimensions", "tooLarge", "at most 4") {
      $0.tensors[0].dimensions = [3, 5, 1, 1, 1]
    },
    Breakage("2^32 - 1 dimensions", "tooLarge", "dimensions") {
      $0.tensors[0].dimensions = Array(repeating: .max, count: 9)
    },
    Breakage("a dimension of 0", "invalid", "dimension 1") { $0.tensors[0].dimensions = [3, 0] },
    Breakage("a dimension of 2^63", "invalid", "dimension 0") {
      $0.tensors[0].dimensions = [1 << 63, 5]
    },
    Breakage("a size that wraps to the right one", "invalid", "2^63") {
      $0.tensors[0].dimensions = [3, 1 << 62 + 5]
    },
    Breakage("a size of 2^62 bytes", "truncated", "t.f32") {
      $0.tensors[0].dimensions = [1 << 30, 1 << 30]
    },
    Breakage("rows that are no multiple of the block", "invalid", "32") {
      $0.tensors[3].dimensions = [8, 16]
    },
    Breakage("a quantised number alone", "invalid", "256") { $0.tensors[4].dimensions = [] },
    Breakage("type 42", "unsupportedType", "42") { $0.tensors[2].type = 42 },
    Breakage("type 4, which ggml took back", "unsupportedType", "Q4_K") { $0.tensors[2].type = 4 },
    Breakage("an offset between alignments", "invalid", "alignment, 32") {
      $0.tensors[1].offset = 72
    },
    Breakage("an offset past the end", "truncated", "t.one") { $0.tensors[1].offset = 1 << 20 },
    Breakage("an offset that wraps", "truncated", "t.one") { $0.tensors[1].offset = .max - 31 },
    Breakage("a tensor over its neighbour's start", "overlapping", "t.one") {
      $0.tensors[0].dimensions = [3, 20]
    },
    Breakage("a tensor in the middle of another", "overlapping", "t.q6_K") {
      $0.tensors[1].offset = 320
    },
    Breakage("the same bytes as another type", "overlapping", "t.f32") {
      $0.tensors[2] = .init(
        name: "t.again", dimensions: [15], type: TensorType.i32.rawValue, bytes: [], offset: 0)
    },
  ]

  @Test("each breakage has its error, in one line", arguments: header + metadata + tensors)
  func breakages(_ breakage: Breakage) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(breakage.bytes, to: "model.gguf")
    let error = try #require(throws: ModelFileError.self) { try GGUFFile(path: path) }
    #expect(error.kind == breakage.kind, "\(error)")
    #expect(error.description.contains(breakage.word), "\(error)")
    #expect(error.isOneLine(about: path))
  }

  @Test("a file that stops at any byte before its end is refused")
  func everyPrefix() throws {
    let bytes = GGUFBuilder.sample().bytes
    let folder = try TemporaryFolder()
    _ = try GGUFFile(path: folder.write(bytes, to: "whole.gguf"))
    for count in bytes.indices {
      let path = try folder.write(Array(bytes[..<count]), to: "model.gguf")
      let error = #expect(throws: ModelFileError.self, "\(count)") { try GGUFFile(path: path) }
      let kinds = ["truncated", "tooLarge", "unrecognizedFormat"]
      #expect(error.map { kinds.contains($0.kind) && $0.isOneLine(about: path) } == true)
    }
  }

  @Test("texts that are not UTF-8 are refused when they are asked for, and only then")
  func notUTF8() throws {
    var builder = GGUFBuilder.sample()
    let bad = little(UInt64(2)) + [0xc3, 0x28] as [UInt8]
    builder.rawPairs = [
      text("bad") + little(UInt32(8)) + bad,
      text("bads") + little(UInt32(9)) + little(UInt32(8)) + little(UInt64(2)) + text("ok") + bad,
    ]
    let metadata = try builder.open().metadata
    let errors = try [
      #require(throws: ModelFileError.self) { try metadata.string("bad") },
      #require(throws: ModelFileError.self) { try metadata.value("bad") },
      #require(throws: ModelFileError.self) { try metadata.strings("bads") },
      #require(throws: ModelFileError.self) { try metadata.value("bads") },
    ]
    #expect(errors.allSatisfy { $0.kind == "wrongValue" && $0.isOneLine(about: metadata.path) })
    #expect("\(errors[2])".contains("element 1"))
  }

  @Test("names of any bytes leave a message in one line")
  func hostileNames() throws {
    for name in ["a\nb", "\u{1B}[31m", "\u{2028}\u{202E}", String(repeating: "\0", count: 60_000)] {
      var builder = GGUFBuilder()
      builder.pairs = [(name, .uint8(1)), (name, .uint8(1))]
      let folder = try TemporaryFolder()
      let path = try folder.write(builder.bytes, to: "model.gguf")
      let error = try #require(throws: ModelFileError.self) { try GGUFFile(path: path) }
      #expect(error.kind == "duplicate")
      #expect(error.isOneLine(about: path))
      #expect(!error.description.unicodeScalars.contains { ["\u{2028}", "\u{202E}"].contains($0) })
    }
  }
}
