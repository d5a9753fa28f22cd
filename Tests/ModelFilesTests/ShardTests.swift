import Foundation
import ModelFiles
import TestSupport
import Testing

@Suite("Split models")
struct ShardTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func write(_ number: Int, of count: Int, tensors: [String], total: Int) throws -> String {
    var builder = GGUFBuilder()
    builder.pairs = [
      ("split.no", .uint16(UInt16(number))), ("split.count", .uint16(UInt16(count))),
      ("split.tensors.count", .int32(Int32(total))),
    ]
    builder.tensors = tensors.map {
      .init(name: $0, dimensions: [1], bytes: little(Float(number).bitPattern))
    }
    return try folder.write(builder.bytes, to: "m-0000\(number + 1)-of-0000\(count).gguf")
  }

  @Test("the first shard opens all of them")
  func all() throws {
    let first = try write(0, of: 3, tensors: ["a"], total: 4)
    let second = try write(1, of: 3, tensors: ["b", "c"], total: 4)
    _ = try write(2, of: 3, tensors: ["d"], total: 4)
    let file = try GGUFFile(path: first)
    #expect(file.tensors.map(\.name) == ["a", "b", "c", "d"])
    #expect(try file.tensors.flatMap { try $0.floats() } == [0, 1, 1, 2])
    #expect(try file.tensor("c").path == second)
  }

  @Test("another shard, a missing one and a renamed one say which to open")
  func wrong() throws {
    let first = try write(0, of: 2, tensors: ["a"], total: 2)
    let missing = #expect(throws: ModelFileError.self) { try GGUFFile(path: first) }
    #expect(missing?.kind == "missingShard")
    let second = try write(1, of: 2, tensors: ["b"], total: 2)
    let wrong = #expect(throws: ModelFileError.self) { try GGUFFile(path: second) }
    #expect(wrong?.kind == "wrongShard")
    #expect(wrong?.description.contains("00001-of-00002.gguf") == true)
    try FileManager.default.moveItem(atPath: first, toPath: folder.path + "/model.gguf")
    let renamed = #expect(throws: ModelFileError.self) {
      try GGUFFile(path: folder.path + "/model.gguf")
    }
    #expect(renamed?.kind == "wrongShard")
  }

  @Test("a shard that is the first one again does not loop")
  func loop() throws {
    let first = try write(0, of: 2, tensors: ["a"], total: 2)
    try FileManager.default.createSymbolicLink(
      atPath: folder.path + "/m-00002-of-00002.gguf", withDestinationPath: first)
    let error = #expect(throws: ModelFileError.self) { try GGUFFile(path: first) }
    #expect(error?.kind == "wrongShard")
  }

  @Test("tensors that two shards have, or none, are refused")
  func tensors() throws {
    let first = try write(0, of: 2, tensors: ["a"], total: 2)
    _ = try write(1, of: 2, tensors: ["a"], total: 2)
    #expect(
      #expect(throws: ModelFileError.self) { try GGUFFile(path: first) }?.kind == "duplicate")
    _ = try write(1, of: 2, tensors: [], total: 2)
    #expect(
      #expect(throws: ModelFileError.self) { try GGUFFile(path: first) }?.kind == "wrongValue")
  }
}
