import Foundation
import ModelFiles
import TestSupport
import Testing

@Suite("Writing safetensors files")
struct SafetensorsWriterTests {
  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path + "/out.safetensors"
  }

  private func write(
    _ rows: [[Float]], tensor: String = "logits", shape: [Int], to path: String
  ) throws {
    let writer = try SafetensorsWriter(path: path, tensor: tensor, shape: shape)
    for row in rows { try writer.append(row.span) }
    try writer.finish()
  }

  @Test("rows come back with their bits, under any name", arguments: ["logits", "a \"\\\u{1}\tß"])
  func roundTrip(name: String) throws {
    let rows: [[Float]] = [
      [1, -0.0, .infinity], [Float(bitPattern: 0x7fc1_2345), .leastNonzeroMagnitude, -1e30],
    ]
    try write(rows, tensor: name, shape: [2, 3], to: path)
    let file = try SafetensorsFixture(path: path)
    #expect(Array(file.tensors.keys) == [name])
    #expect(try file.shape(name) == [2, 3])
    #expect(
      try file.floats(name).map(\.bitPattern) == rows.joined().map(\.bitPattern))
    #expect(try folder.names() == ["out.safetensors"])
  }

  @Test("the numbers begin at a multiple of eight bytes", arguments: 1...9)
  func aligned(nameLength: Int) throws {
    try write([[7]], tensor: String(repeating: "x", count: nameLength), shape: [1], to: path)
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    #expect(bytes.count % 8 == 4)
    #expect(Array(bytes.suffix(4)) == little(Float(7).bitPattern))
  }

  @Test("no rows make a tensor without elements", arguments: [[0, 5], [0], [1 << 62, 4, 0]])
  func empty(shape: [Int]) throws {
    try write([], shape: shape, to: path)
    #expect(try SafetensorsFixture(path: path).shape("logits") == shape)
  }

  @Test(
    "a shape that no tensor has is refused, and nothing is written",
    arguments: [[-1, 4], [-2, -3], [1 << 31, 1 << 31], [1 << 61]])
  func impossible(shape: [Int]) throws {
    let error = #expect(throws: ModelFileError.self) {
      try SafetensorsWriter(path: path, tensor: "t", shape: shape)
    }
    #expect(
      error.map { "\($0)" }
        == "\(path): cannot be written: a tensor's shape is \(shape); allowed: dimensions of 0 or more, fewer than 2^61 elements"
    )
    #expect(try folder.names() == [])
  }

  @Test("an unfinished file leaves nothing behind, and the old one as it was")
  func unfinished() throws {
    try folder.write("old", to: "out.safetensors")
    do {
      let writer = try SafetensorsWriter(path: path, tensor: "t", shape: [2])
      try writer.append(([1] as [Float]).span)
      #expect(try folder.names().count == 2)
    }
    #expect(try folder.names() == ["out.safetensors"])
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    try write([[1, 2]], shape: [2], to: path)
    #expect(try SafetensorsFixture(path: path).floats("logits") == [1, 2])
  }

  @Test("a link stays, and the file behind it is replaced")
  func link() throws {
    let file = try folder.write("old", to: "real.safetensors")
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: file)
    try write([[3]], shape: [1], to: path)
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path) == file)
    #expect(try SafetensorsFixture(path: file).floats("logits") == [3])
  }

  @Test("two writers of one path do not mix, and the later end wins")
  func two() throws {
    let first = try SafetensorsWriter(path: path, tensor: "t", shape: [1])
    let second = try SafetensorsWriter(path: path, tensor: "t", shape: [1])
    try first.append(([1] as [Float]).span)
    try second.append(([2] as [Float]).span)
    try second.finish()
    try first.finish()
    #expect(try SafetensorsFixture(path: path).floats("t") == [1])
    #expect(try folder.names() == ["out.safetensors"])
  }

  @Test("places that cannot be written to say why, and stay as they are")
  func unwritable() throws {
    let file = try folder.write("old", to: "file")
    let pipe = folder.path + "/pipe"
    #expect(unsafe mkfifo(pipe, 0o600) == 0)
    for (path, reason) in [
      (folder.path + "/none/out", "No such file or directory"), (file + "/out", "Not a directory"),
      (folder.path, "is a folder"), (pipe, "is no regular file"), ("", "the path is empty"),
      (folder.path + "/" + String(repeating: "n", count: 300), "File name too long"),
    ] {
      #expect(throws: ModelFileError.unwritable(path: path, reason: reason)) {
        try SafetensorsWriter(path: path, tensor: "t", shape: [1])
      }
    }
    #expect(try folder.names() == ["file", "pipe"])
  }

  @Test("a folder that goes away is an error at the end")
  func vanished() throws {
    try FileManager.default.createDirectory(
      atPath: folder.path + "/sub", withIntermediateDirectories: false)
    let path = folder.path + "/sub/out"
    let writer = try SafetensorsWriter(path: path, tensor: "t", shape: [1])
    try FileManager.default.removeItem(atPath: folder.path + "/sub")
    try writer.append(([1] as [Float]).span)
    #expect(
      throws: ModelFileError.unwritable(path: path, reason: "No such file or directory")
    ) { try writer.finish() }
  }

  @Test("finishing too early and appending too much trap")
  func misuse() async {
    await #expect(processExitsWith: .failure) {
      let folder = try TemporaryFolder()
      let writer = try SafetensorsWriter(path: folder.path + "/out", tensor: "t", shape: [2])
      try writer.finish()
    }
    await #expect(processExitsWith: .failure) {
      let folder = try TemporaryFolder()
      let writer = try SafetensorsWriter(path: folder.path + "/out", tensor: "t", shape: [2])
      try writer.append(([1, 2, 3] as [Float]).span)
    }
  }
}
