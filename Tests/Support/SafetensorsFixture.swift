import Foundation

/// A safetensors file read whole: the reference tensors that tests compare with.
///
/// The format: eight bytes of header length, a JSON header, then the data
/// (github.com/huggingface/safetensors, "Format"). ModelFiles has the reader for files that cannot be trusted.
package struct SafetensorsFixture: Sendable {
  package struct Tensor: Sendable {
    package let type: String
    package let shape: [Int]
    package let bytes: [UInt8]
  }

  package enum ReadError: Error, Equatable {
    case malformed(path: String)
    case noTensor(name: String, available: [String])
    case wrongType(name: String, type: String, wanted: String)
  }

  package let tensors: [String: Tensor]

  /// Reads the file at `path`; for a fixture say `SafetensorsFixture(path: Fixtures.path("…"))`.
  package init(path: String) throws {
    struct Entry: Decodable {
      let dtype: String
      let shape: [Int]
      let data_offsets: [Int]
    }
    struct Header: Decodable {
      var entries: [String: Entry] = [:]
      struct Key: CodingKey {
        let stringValue: String
        init(stringValue: String) { self.stringValue = stringValue }
        var intValue: Int? { nil }
        init?(intValue: Int) { return nil }
      }
      init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        for key in container.allKeys where key.stringValue != "__metadata__" {
          entries[key.stringValue] = try container.decode(Entry.self, forKey: key)
        }
      }
    }

    let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    guard file.count >= 8 else { throw ReadError.malformed(path: path) }
    let headerLength = file[0..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard headerLength <= file.count - 8 else { throw ReadError.malformed(path: path) }
    let start = 8 + headerLength
    let header = try JSONDecoder().decode(Header.self, from: Data(file[8..<start]))
    var tensors: [String: Tensor] = [:]
    for (name, entry) in header.entries {
      guard entry.data_offsets.count == 2, entry.data_offsets[0] <= entry.data_offsets[1],
        start + entry.data_offsets[1] <= file.count
      else { throw ReadError.malformed(path: path) }
      tensors[name] = Tensor(
        type: entry.dtype, shape: entry.shape,
        bytes: Array(file[(start + entry.data_offsets[0])..<(start + entry.data_offsets[1])]))
    }
    self.tensors = tensors
  }

  /// The elements of an F32 tensor, row-major.
  package func floats(_ name: String) throws -> [Float] {
    try elements(name, type: "F32", as: UInt32.self).map { Float(bitPattern: $0) }
  }

  /// The elements of an F64 tensor, row-major.
  package func doubles(_ name: String) throws -> [Double] {
    try elements(name, type: "F64", as: UInt64.self).map { Double(bitPattern: $0) }
  }

  /// The elements of an I32 tensor, row-major.
  package func integers(_ name: String) throws -> [Int] {
    try elements(name, type: "I32", as: UInt32.self).map { Int(Int32(bitPattern: $0)) }
  }

  /// The shape of a tensor, outermost first.
  package func shape(_ name: String) throws -> [Int] {
    try tensor(name).shape
  }

  private func tensor(_ name: String) throws -> Tensor {
    guard let tensor = tensors[name] else {
      throw ReadError.noTensor(name: name, available: tensors.keys.sorted())
    }
    return tensor
  }

  private func elements<Bits: FixedWidthInteger & UnsignedInteger>(
    _ name: String, type: String, as bits: Bits.Type
  ) throws -> [Bits] {
    let tensor = try tensor(name)
    guard tensor.type == type else {
      throw ReadError.wrongType(name: name, type: tensor.type, wanted: type)
    }
    let width = Bits.bitWidth / 8
    return (0..<(tensor.bytes.count / width)).map { index in
      (0..<width).reversed().reduce(0) { $0 << 8 | Bits(tensor.bytes[index * width + $1]) }
    }
  }
}
