import ModelFiles
import TestSupport

/// Puts GGUF files together, right ones and wrong ones.
///
/// GGUF specification, version 3: magic, version, tensor count, key count, pairs, tensor entries, padding, data.
struct GGUFBuilder {
  struct Tensor {
    var name: String
    /// Fastest first.
    var dimensions: [UInt64]
    /// ggml's number of the type.
    var type: UInt32 = TensorType.f32.rawValue
    var bytes: [UInt8]
    /// In the data; nil for the next aligned place.
    var offset: UInt64?
  }

  var version: UInt32 = 3
  var alignment = 32
  var pairs: [(key: String, value: MetadataValue)] = []
  /// Bytes of further pairs, to be wrong in.
  var rawPairs: [[UInt8]] = []
  var tensors: [Tensor] = []
  var tensorCount: UInt64?
  var keyCount: UInt64?

  /// Everything in front of the data, without the padding.
  var header: [UInt8] {
    var bytes = Array("GGUF".utf8) + little(version)
    bytes += little(tensorCount ?? UInt64(tensors.count))
    bytes += little(keyCount ?? UInt64(pairs.count + rawPairs.count))
    for (key, value) in pairs { bytes += text(key) + little(typeNumber(value)) + encoded(value) }
    for pair in rawPairs { bytes += pair }
    var next: UInt64 = 0
    for tensor in tensors {
      bytes += text(tensor.name) + little(UInt32(tensor.dimensions.count))
      for dimension in tensor.dimensions { bytes += little(dimension) }
      bytes += little(tensor.type) + little(tensor.offset ?? next)
      next = UInt64(padded(Int(next) + tensor.bytes.count))
    }
    return bytes
  }

  var bytes: [UInt8] {
    var bytes = header
    bytes += [UInt8](repeating: 0, count: padded(bytes.count) - bytes.count)
    for tensor in tensors {
      bytes += tensor.bytes
      if tensor.name != tensors.last?.name {
        bytes += [UInt8](
          repeating: 0, count: padded(tensor.bytes.count) - tensor.bytes.count)
      }
    }
    return bytes
  }

  /// Opens the file.
  func open() throws -> GGUFFile {
    let folder = try TemporaryFolder()
    return try GGUFFile(path: folder.write(bytes, to: "model.gguf"))
  }

  private func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }
}

extension GGUFBuilder {
  /// A small file with every type of value and several types of tensors.
  static func sample(seed: UInt64 = 1) -> GGUFBuilder {
    var generator = SeededGenerator(seed: seed)
    var builder = GGUFBuilder()
    builder.pairs = [
      ("general.architecture", .string("llama")), ("general.alignment", .uint32(32)),
      ("a.u8", .uint8(200)), ("a.i8", .int8(-100)), ("a.u16", .uint16(60_000)),
      ("a.i16", .int16(-30_000)), ("a.i32", .int32(-2_000_000_000)), ("a.f32", .float32(0.1)),
      ("a.bool", .bool(true)), ("a.empty", .string("")), ("a.u64", .uint64(1 << 40)),
      ("a.i64", .int64(-1 << 40)), ("a.f64", .float64(0.1)),
      ("l.strings", .array(of: .string, [.string("ä"), .string(""), .string("z\n")])),
      ("l.i32", .array(of: .int32, [.int32(1), .int32(-2), .int32(3)])),
      ("l.f32", .array(of: .float32, [.float32(1.5), .float32(-.infinity)])),
      ("l.bools", .array(of: .bool, [.bool(true), .bool(false)])),
      ("l.i64", .array(of: .int64, [.int64(-7), .int64(1 << 50)])),
      ("l.u8", .array(of: .uint8, [.uint8(0), .uint8(255), .uint8(3)])),
      ("l.f64", .array(of: .float64, [.float64(0.1), .float64(-0.2)])),
      ("l.none", .array(of: .uint64, [])),
      (
        "l.nested",
        .array(
          of: .array, [.array(of: .uint8, [.uint8(1)]), .array(of: .string, [.string("deep")])])
      ),
    ]
    func block(_ name: String, _ type: TensorType, _ dimensions: [UInt64]) -> Tensor {
      let count = Int(dimensions.reduce(1, *))
      let byteCount = count / type.block.elementCount * type.block.byteCount
      return Tensor(
        name: name, dimensions: dimensions, type: type.rawValue,
        bytes: (0..<byteCount).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
    }
    builder.tensors = [
      block("t.f32", .f32, [3, 5]), block("t.one", .f32, []), block("t.bf16", .bf16, [2, 2, 2, 3]),
      block("t.q4_0", .q4_0, [64, 2]), block("t.q6_K", .q6_K, [256, 2]),
      block("t.q8_K", .q8_K, [256]), block("t.iq4_XS", .iq4_XS, [256]),
    ]
    return builder
  }
}

/// The bytes of an integer, least first.
func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
  (0..<Value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

/// A string with its length before it.
func text(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + text.utf8 }

private func typeNumber(_ value: MetadataValue) -> UInt32 {
  switch value {
  case .uint8: 0
  case .int8: 1
  case .uint16: 2
  case .int16: 3
  case .uint32: 4
  case .int32: 5
  case .float32: 6
  case .bool: 7
  case .string: 8
  case .array: 9
  case .uint64: 10
  case .int64: 11
  case .float64: 12
  }
}

private func encoded(_ value: MetadataValue) -> [UInt8] {
  switch value {
  case .uint8(let number): little(number)
  case .int8(let number): little(number)
  case .uint16(let number): little(number)
  case .int16(let number): little(number)
  case .uint32(let number): little(number)
  case .int32(let number): little(number)
  case .float32(let number): little(number.bitPattern)
  case .bool(let flag): [flag ? 1 : 0]
  case .string(let string): text(string)
  case .array(let type, let values):
    little(type.rawValue) + little(UInt64(values.count)) + values.flatMap(encoded)
  case .uint64(let number): little(number)
  case .int64(let number): little(number)
  case .float64(let number): little(number.bitPattern)
  }
}
