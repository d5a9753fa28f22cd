extension MetadataType {
  /// The integer of this type at a byte of `bytes`; nil where the type is none or the value does not fit.
  func integer(in bytes: RawSpan, at offset: Int) -> Int? {
    switch self {
    case .uint8: Int(bytes.integer(at: offset, as: UInt8.self))
    case .int8: Int(bytes.integer(at: offset, as: Int8.self))
    case .uint16: Int(bytes.integer(at: offset, as: UInt16.self))
    case .int16: Int(bytes.integer(at: offset, as: Int16.self))
    case .uint32: Int(bytes.integer(at: offset, as: UInt32.self))
    case .int32: Int(bytes.integer(at: offset, as: Int32.self))
    case .uint64: Int(exactly: bytes.integer(at: offset, as: UInt64.self))
    case .int64: Int(exactly: bytes.integer(at: offset, as: Int64.self))
    case .float32, .float64, .bool, .string, .array: nil
    }
  }

  /// The number of this type at a byte of `bytes`, integers rounded to the nearest; nil where the type is none.
  func number(in bytes: RawSpan, at offset: Int) -> Double? {
    switch self {
    case .float32: Double(Float(bitPattern: bytes.integer(at: offset)))
    case .float64: Double(bitPattern: bytes.integer(at: offset))
    case .uint64: Double(bytes.integer(at: offset, as: UInt64.self))
    case .bool, .string, .array: nil
    case .uint8, .int8, .uint16, .int16, .uint32, .int32, .int64:
      integer(in: bytes, at: offset).map(Double.init)
    }
  }
}
