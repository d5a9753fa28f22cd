import ModelFiles
import TestSupport
import Testing

@Suite("GGUF files")
struct GGUFFileTests {
  @Test(
    "every metadata value comes back as it was written, in the file's order", arguments: [2, 3])
  func metadata(version: UInt32) throws {
    var builder = GGUFBuilder.sample()
    builder.version = version
    let file = try builder.open()
    #expect(file.version == version)
    #expect(file.metadata.keys == builder.pairs.map(\.key))
    for (key, value) in builder.pairs { #expect(try file.metadata.value(key) == value, "\(key)") }
  }

  @Test("accessors widen numbers, and answer nil for absent keys")
  func accessors() throws {
    let metadata = try GGUFBuilder.sample().open().metadata
    #expect(try metadata.string("general.architecture") == "llama")
    #expect(try metadata.string("a.empty") == "")
    #expect(try metadata.integer("a.u8") == 200)
    #expect(try metadata.integer("a.i8") == -100)
    #expect(try metadata.integer("a.i16") == -30_000)
    #expect(try metadata.integer("a.i64") == -1 << 40)
    #expect(try metadata.double("a.f32") == Double(Float(0.1)))
    #expect(try metadata.double("a.f64") == 0.1)
    #expect(try metadata.double("a.u16") == 60_000)
    #expect(try metadata.boolean("a.bool") == true)
    #expect(try metadata.strings("l.strings") == ["ä", "", "z\n"])
    #expect(try metadata.integers("l.i32") == [1, -2, 3])
    #expect(try metadata.integers("l.i64") == [-7, 1 << 50])
    #expect(try metadata.integers("l.u8") == [0, 255, 3])
    #expect(try metadata.doubles("l.f64") == [0.1, -0.2])
    #expect(try metadata.doubles("l.i32") == [1, -2, 3])
    #expect(try metadata.doubles("l.f32") == [1.5, -.infinity])
    #expect(try metadata.booleans("l.bools") == [true, false])
    #expect(try metadata.integers("l.none") == [])
    #expect(try metadata.integers("l.i32", oneForEachOf: 3) == [1, -2, 3])
    #expect(try metadata.integers("a.u8", oneForEachOf: 2) == [200, 200])
    #expect(metadata.type(of: "l.bools") == .array)
    #expect(metadata.elementType(of: "l.bools") == .bool)
    #expect(metadata.elementCount(of: "l.bools") == 2)

    #expect(!metadata.contains("none"))
    #expect(try metadata.integer("none") == nil)
    #expect(try metadata.double("none") == nil)
    #expect(try metadata.strings("none") == nil)
    #expect(try metadata.value("none") == nil)
    #expect(throws: ModelFileError.missingKey(path: metadata.path, key: "none")) {
      try metadata.requiredString("none")
    }
  }

  @Test("accessors name both types where they differ")
  func wrongTypes() throws {
    let metadata = try GGUFBuilder.sample().open().metadata
    let path = metadata.path
    #expect(
      throws: ModelFileError.wrongType(
        path: path, key: "a.f32", found: "f32", wanted: "an integer")
    ) { try metadata.integer("a.f32") }
    #expect(
      throws: ModelFileError.wrongType(
        path: path, key: "l.i32", found: "array of 3 i32", wanted: "string")
    ) { try metadata.string("l.i32") }
    #expect(
      throws: ModelFileError.wrongType(
        path: path, key: "a.u8", found: "u8", wanted: "an array of strings")
    ) { try metadata.strings("a.u8") }
    #expect(
      throws: ModelFileError.wrongValue(
        path: path, key: "l.i32", found: "an array of length 3", wanted: "one entry for each of 4")
    ) { try metadata.integers("l.i32", oneForEachOf: 4) }
    for count in [-1, Int.min, Int.max, 1 << 24 + 1] {
      #expect(
        throws: ModelFileError.wrongValue(
          path: path, key: "a.u8", found: "one integer for \(count) items",
          wanted: "0 to 16777216 items")
      ) { try metadata.integers("a.u8", oneForEachOf: count) }
    }
    #expect(try metadata.integers("a.u8", oneForEachOf: 0) == [])
    #expect(throws: ModelFileError.self) { try metadata.double("a.bool") }
    #expect(throws: ModelFileError.self) { try metadata.boolean("a.u8") }
  }

  @Test("tensors have their dimensions, fastest first, and their bytes")
  func tensors() throws {
    let builder = GGUFBuilder.sample()
    let file = try builder.open()
    #expect(file.tensors.map(\.name) == builder.tensors.map(\.name))
    #expect(file.byteCount == builder.bytes.count)
    for wanted in builder.tensors {
      let tensor = try file.tensor(wanted.name)
      #expect(tensor.dimensions.map(UInt64.init) == wanted.dimensions)
      #expect(tensor.type.rawValue == wanted.type)
      #expect(tensor.byteRange.lowerBound % 32 == 0)
      #expect(tensor.rowByteCount * tensor.rowCount == wanted.bytes.count)
      tensor.withBytes(ofRows: 0..<tensor.rowCount) { bytes in
        #expect(bytes.byteCount == wanted.bytes.count)
        #expect(array(bytes) == wanted.bytes)
      }
    }
    let tensor = try file.tensor("t.bf16")
    #expect((tensor.columnCount, tensor.rowCount, tensor.elementCount) == (2, 12, 24))
    #expect(try file.tensor("t.one").elementCount == 1)
    #expect(file["none"] == nil)
    #expect(throws: ModelFileError.missingTensor(path: file.path, tensor: "none")) {
      try file.tensor("none")
    }
  }

  @Test("a shape may leave out trailing ones, and nothing else")
  func shapes() throws {
    let tensor = try GGUFBuilder.sample().open().tensor("t.f32")
    try tensor.expect(shape: [3, 5])
    try tensor.expect(shape: [3, 5, 1, 1])
    for shape in [[5, 3], [3], [15], [3, 5, 2], []] {
      #expect(
        throws: ModelFileError.wrongShape(
          path: tensor.path, tensor: "t.f32", found: [3, 5], wanted: shape)
      ) { try tensor.expect(shape: shape) }
    }
  }

  @Test("the alignment of the metadata places the data", arguments: [8, 16, 48, 64, 4096])
  func alignment(bytes: Int) throws {
    var builder = GGUFBuilder.sample()
    builder.alignment = bytes
    builder.pairs[1].value = .uint32(UInt32(bytes))
    let file = try builder.open()
    for tensor in builder.tensors {
      try file.tensor(tensor.name).withBytes(ofRows: 0..<1) { row in
        #expect(array(row) == Array(tensor.bytes[..<row.byteCount]))
      }
    }
  }

  @Test("two tensors may be the same bytes: a tied matrix stored once")
  func shared() throws {
    var builder = GGUFBuilder()
    let bytes = (0..<24).map { UInt8($0) }
    builder.tensors = [
      .init(name: "token_embd.weight", dimensions: [3, 2], bytes: bytes),
      .init(name: "output.weight", dimensions: [3, 2], bytes: [], offset: 0),
    ]
    let file = try builder.open()
    #expect(
      try file.tensor("output.weight").floats() == file.tensor("token_embd.weight").floats())
  }

  @Test("absent files, folders and files that are no models are told apart")
  func notModels() throws {
    let folder = try TemporaryFolder()
    let absent = folder.path + "/none.gguf"
    #expect(throws: ModelFileError.notFound(path: absent)) { try GGUFFile(path: absent) }
    let error = #expect(throws: ModelFileError.self) { try GGUFFile(path: folder.path) }
    #expect(error?.kind == "unreadable")
    for (start, word) in [
      ("", "empty"), ("GGU", "magic"), ("version https://git-lfs.github.com/spec/v1", "git lfs"),
      ("tjgg\u{3}", "before GGUF"), ("FUGG", "big-endian"), ("PK\u{3}\u{4}", "ZIP"),
      ("<!doctype html>", "web page"), ("\n\u{1B}[2J", "0a 1b 5b 32"),
    ] {
      let path = try folder.write(start, to: "model.gguf")
      let error = #expect(throws: ModelFileError.self) { try GGUFFile(path: path) }
      #expect(error?.kind == "unrecognizedFormat")
      #expect(error?.description.contains(word) == true, "\(start)")
      #expect(error?.isOneLine(about: path) == true)
    }
  }
}
