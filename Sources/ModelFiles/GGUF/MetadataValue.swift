/// A metadata value with its type, as the file holds it.
public enum MetadataValue: Sendable, Equatable {
  /// An unsigned 8-bit integer.
  case uint8(UInt8)
  /// A signed 8-bit integer.
  case int8(Int8)
  /// An unsigned 16-bit integer.
  case uint16(UInt16)
  /// A signed 16-bit integer.
  case int16(Int16)
  /// An unsigned 32-bit integer.
  case uint32(UInt32)
  /// A signed 32-bit integer.
  case int32(Int32)
  /// A 32-bit IEEE number.
  case float32(Float)
  /// A truth value.
  case bool(Bool)
  /// Text.
  case string(String)
  /// Values of one type, which may be arrays themselves.
  case array(of: MetadataType, [MetadataValue])
  /// An unsigned 64-bit integer.
  case uint64(UInt64)
  /// A signed 64-bit integer.
  case int64(Int64)
  /// A 64-bit IEEE number.
  case float64(Double)
}
