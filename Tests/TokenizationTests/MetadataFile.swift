import ModelFiles
import TestSupport

/// Writes GGUF files that hold metadata and no tensor.
struct MetadataFile {
  enum Value {
    case string(String)
    case uint32(UInt32)
    case int32(Int32)
    case bool(Bool)
    case strings([String])
    case int32s([Int32])
  }

  var values: [(key: String, value: Value)] = []

  /// Opens a file with these values.
  func metadata() throws -> GGUFMetadata {
    let folder = try TemporaryFolder()
    let path = try folder.write(bytes, to: "model.gguf")
    return try GGUFFile(path: path).metadata
  }

  /// GGUF specification, version 3: magic, version, tensor count, key count, then the pairs.
  private var bytes: [UInt8] {
    var bytes = Array("GGUF".utf8)
    append(UInt32(3), to: &bytes)
    append(UInt64(0), to: &bytes)
    append(UInt64(values.count), to: &bytes)
    for (key, value) in values {
      append(key, to: &bytes)
      switch value {
      case .string(let text):
        append(UInt32(8), to: &bytes)
        append(text, to: &bytes)
      case .uint32(let number):
        append(UInt32(4), to: &bytes)
        append(number, to: &bytes)
      case .int32(let number):
        append(UInt32(5), to: &bytes)
        append(number, to: &bytes)
      case .bool(let flag):
        append(UInt32(7), to: &bytes)
        bytes.append(flag ? 1 : 0)
      case .strings(let texts):
        append(UInt32(9), to: &bytes)
        append(UInt32(8), to: &bytes)
        append(UInt64(texts.count), to: &bytes)
        for text in texts { append(text, to: &bytes) }
      case .int32s(let numbers):
        append(UInt32(9), to: &bytes)
        append(UInt32(5), to: &bytes)
        append(UInt64(numbers.count), to: &bytes)
        for number in numbers { append(number, to: &bytes) }
      }
    }
    return bytes
  }

  private func append(_ number: some FixedWidthInteger, to bytes: inout [UInt8]) {
    for byte in 0..<number.bitWidth / 8 {
      bytes.append(UInt8(truncatingIfNeeded: number >> (8 * byte)))
    }
  }

  private func append(_ text: String, to bytes: inout [UInt8]) {
    append(UInt64(text.utf8.count), to: &bytes)
    bytes += text.utf8
  }
}
