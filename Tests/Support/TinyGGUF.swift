/// A GGUF file of f32 tensors, put together in memory.
///
/// GGUF specification, version 3: magic, version, counts, pairs, tensor entries, padding, data.
package struct TinyGGUF: Sendable {
  package enum Value: Sendable {
    case size(Int)
    case number(Float)
    case text(String)
  }

  package var pairs: [(key: String, value: Value)] = []
  /// Dimensions stand fastest first.
  package var tensors: [(name: String, dimensions: [Int], values: [Float])] = []

  package init() {}

  package var bytes: [UInt8] {
    var bytes = Array("GGUF".utf8) + little(UInt32(3))
    bytes += little(UInt64(tensors.count)) + little(UInt64(pairs.count))
    for (key, value) in pairs {
      bytes += text(key)
      switch value {
      case .size(let size): bytes += little(UInt32(4)) + little(UInt32(size))
      case .number(let number): bytes += little(UInt32(6)) + little(number.bitPattern)
      case .text(let string): bytes += little(UInt32(8)) + text(string)
      }
    }
    var data: [UInt8] = []
    for (name, dimensions, values) in tensors {
      bytes += text(name) + little(UInt32(dimensions.count))
      for dimension in dimensions { bytes += little(UInt64(dimension)) }
      bytes += little(UInt32(0)) + little(UInt64(data.count))
      for value in values { data += little(value.bitPattern) }
      pad(&data)
    }
    pad(&bytes)
    return bytes + data
  }

  private func pad(_ bytes: inout [UInt8]) {
    while bytes.count % 32 != 0 { bytes.append(0) }
  }

  private func little<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
    (0..<Integer.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  private func text(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + text.utf8 }
}
