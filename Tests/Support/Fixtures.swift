import Foundation

/// The files under Tests/Fixtures, found from this source file, so that tests run from any folder.
package enum Fixtures {
  /// The repository's top folder.
  package static let repository = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  /// The path of a fixture, such as `path("tiny/qwen3/qwen3.gguf")`.
  package static func path(_ relative: String) -> String {
    repository + "/Tests/Fixtures/" + relative
  }

  /// The bytes of a fixture.
  package static func bytes(_ relative: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path(relative))))
  }

  /// A fixture of JSON, decoded as `type`.
  package static func json<Value: Decodable>(
    _ relative: String, as type: Value.Type = Value.self
  ) throws -> Value {
    let data = try Data(contentsOf: URL(fileURLWithPath: path(relative)))
    return try JSONDecoder().decode(type, from: data)
  }

  /// The names of the files and folders directly in a folder of fixtures, sorted.
  package static func names(in relative: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path(relative)).sorted()
  }
}
