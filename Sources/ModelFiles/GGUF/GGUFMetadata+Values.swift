internal import Memory

extension GGUFMetadata {
  /// The key's value with its type, whatever it is; throws where a text in it is not UTF-8.
  ///
  /// For listings: an array becomes one enumeration value per element, some twenty times its bytes. Models ask for
  /// `strings(_:)` and the like.
  public func value(_ key: String) throws(ModelFileError) -> MetadataValue? {
    guard let entry = entry(for: key) else { return nil }
    return try file.withBytes(in: entry.bytes) { bytes throws(ModelFileError) in
      var offset = 0
      guard let elementType = entry.elementType else {
        return try value(of: entry.type, in: bytes, at: &offset, key: key)
      }
      return try array(of: elementType, count: entry.count, in: bytes, at: &offset, key: key)
    }
  }

  /// The value at `offset`, which moves past it; a text without its length takes the rest of the bytes.
  private func value(
    of type: MetadataType, in bytes: RawSpan, at offset: inout Int, key: String
  ) throws(ModelFileError) -> MetadataValue {
    let start = offset
    if type.isFixedWidth { offset += type.minimumByteCount }
    switch type {
    case .uint8: return .uint8(bytes.integer(at: start))
    case .int8: return .int8(bytes.integer(at: start))
    case .uint16: return .uint16(bytes.integer(at: start))
    case .int16: return .int16(bytes.integer(at: start))
    case .uint32: return .uint32(bytes.integer(at: start))
    case .int32: return .int32(bytes.integer(at: start))
    case .uint64: return .uint64(bytes.integer(at: start))
    case .int64: return .int64(bytes.integer(at: start))
    case .float32: return .float32(Float(bitPattern: bytes.integer(at: start)))
    case .float64: return .float64(Double(bitPattern: bytes.integer(at: start)))
    case .bool: return .bool(bytes.integer(at: start, as: UInt8.self) == 1)
    case .string:
      offset = bytes.byteCount
      return .string(try text(in: start..<offset, of: bytes, key: key))
    case .array:
      let elementType = MetadataType(rawValue: bytes.integer(at: start)) ?? .uint8
      let count = bytes.integer(at: start + 4, as: Int.self)
      offset += 12
      return try array(of: elementType, count: count, in: bytes, at: &offset, key: key)
    }
  }

  private func array(
    of type: MetadataType, count: Int, in bytes: RawSpan, at offset: inout Int, key: String
  ) throws(ModelFileError) -> MetadataValue {
    var values: [MetadataValue] = []
    for _ in 0..<count {
      if type == .string {
        let start = offset + 8
        offset = start + bytes.integer(at: offset, as: Int.self)
        values.append(.string(try text(in: start..<offset, of: bytes, key: key)))
      } else {
        values.append(try value(of: type, in: bytes, at: &offset, key: key))
      }
    }
    return .array(of: type, values)
  }

  private func text(
    in range: Range<Int>, of bytes: RawSpan, key: String
  ) throws(ModelFileError) -> String {
    guard let text = bytes.text(in: range) else {
      throw .wrongValue(path: path, key: key, found: "not UTF-8", wanted: "UTF-8 text")
    }
    return text
  }
}
