/// The type of a metadata value, by its number in a GGUF file.
///
/// GGUF specification, `gguf_metadata_value_type`.
public enum MetadataType: UInt32, Sendable, Hashable, CaseIterable, CustomStringConvertible {
  /// An unsigned 8-bit integer.
  case uint8 = 0
  /// A signed 8-bit integer.
  case int8 = 1
  /// An unsigned 16-bit integer.
  case uint16 = 2
  /// A signed 16-bit integer.
  case int16 = 3
  /// An unsigned 32-bit integer.
  case uint32 = 4
  /// A signed 32-bit integer.
  case int32 = 5
  /// A 32-bit IEEE number.
  case float32 = 6
  /// One byte, 0 or 1.
  case bool = 7
  /// UTF-8 with a 64-bit length before it.
  case string = 8
  /// Any number of values of one type.
  case array = 9
  /// An unsigned 64-bit integer.
  case uint64 = 10
  /// A signed 64-bit integer.
  case int64 = 11
  /// A 64-bit IEEE number.
  case float64 = 12

  /// The name used in messages.
  public var description: String {
    switch self {
    case .uint8: "u8"
    case .int8: "i8"
    case .uint16: "u16"
    case .int16: "i16"
    case .uint32: "u32"
    case .int32: "i32"
    case .float32: "f32"
    case .bool: "bool"
    case .string: "string"
    case .array: "array"
    case .uint64: "u64"
    case .int64: "i64"
    case .float64: "f64"
    }
  }

  /// Bytes of a value; of a string or an array, the least a value can take: their own header.
  var minimumByteCount: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64, .string: 8
    case .array: 12
    }
  }

  /// True where every value takes `minimumByteCount` bytes.
  var isFixedWidth: Bool { self != .string && self != .array }

  /// True for the eight integer types.
  var isInteger: Bool {
    switch self {
    case .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64: true
    case .float32, .float64, .bool, .string, .array: false
    }
  }
}
