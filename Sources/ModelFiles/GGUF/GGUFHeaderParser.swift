internal import Memory

/// Reads a GGUF header from front to back.
///
/// No count is looped over before the rest of the file is known to have room for it, so time and memory stay within a
/// small multiple of the file's length.
struct GGUFHeaderParser {
  /// Keys are at most this long (specification: 2^16 − 1); tensor names are held to the same limit, not to the
  /// specification's 64 bytes, which real files exceed.
  static let nameByteLimit = 65_535
  /// The most keys, and the most tensors, of a file: a hundred times those of the largest models.
  static let itemLimit = 1 << 20
  /// The most arrays in arrays.
  static let nestingLimit = 8
  /// The most dimensions of a tensor (specification: 4 at present).
  static let dimensionLimit = 4
  static let versions: ClosedRange<UInt32> = 2...3

  let file: MappedFile
  var reader: HeaderReader
  var path: String { file.path }

  init(file: MappedFile) {
    self.file = file
    reader = HeaderReader(path: file.path)
  }

  mutating func parse(_ bytes: RawSpan) throws(ModelFileError) -> GGUFHeader {
    let version = try parseVersion(bytes)
    let tensorCountOffset = reader.position
    let tensorCount: UInt64 = try reader.integer(of: bytes, for: "the number of tensors")
    // A key has a length of 8 bytes, a byte, a type of 4 and a value of at least one.
    let keyCount = try reader.count(
      of: bytes, itemsOf: 14, limit: Self.itemLimit, for: "the number of metadata keys")
    // A tensor has a length of 8 bytes, a byte, a dimension count and a type of 4 and an offset of 8.
    try reader.check(
      tensorCount, at: tensorCountOffset, of: bytes, itemsOf: 25, limit: Self.itemLimit,
      for: "the number of tensors")
    let metadata = try parseMetadata(bytes, count: keyCount)
    let tensors = try parseTensors(bytes, count: Int(tensorCount), metadata: metadata)
    return GGUFHeader(version: version, metadata: metadata, tensors: tensors)
  }

  private mutating func parseVersion(_ bytes: RawSpan) throws(ModelFileError) -> UInt32 {
    guard bytes.byteCount >= 4, bytes.text(in: 0..<4) == "GGUF" else {
      throw .unrecognizedFormat(path: path, wanted: "GGUF", found: FileKind.describe(bytes))
    }
    let _: UInt32 = try reader.integer(of: bytes, for: "the magic number")
    let version: UInt32 = try reader.integer(of: bytes, for: "the version")
    guard Self.versions.contains(version) else {
      if Self.versions.contains(version.byteSwapped) { throw .bigEndian(path: path) }
      throw .unsupportedVersion(path: path, version: version, allowed: Self.versions)
    }
    return version
  }

  private mutating func parseMetadata(
    _ bytes: RawSpan, count: Int
  ) throws(ModelFileError) -> GGUFMetadata {
    var metadata = GGUFMetadata(path: path, file: file)
    for index in 0..<count {
      let offset = reader.position
      let key = try reader.name(
        of: bytes, limit: Self.nameByteLimit, for: "metadata key \(index + 1) of \(count)")
      let type = try parseType(bytes, for: key)
      let entry = try parseValue(of: type, bytes, for: key, nesting: 0)
      guard metadata.insert(entry, for: key) else {
        throw .duplicate(path: path, item: "metadata key \(key)", offset: offset)
      }
    }
    return metadata
  }

  private mutating func parseType(
    _ bytes: RawSpan, for key: String
  ) throws(ModelFileError) -> MetadataType {
    let offset = reader.position
    let number: UInt32 = try reader.integer(of: bytes, for: "the type of metadata key \(key)")
    guard let type = MetadataType(rawValue: number) else {
      throw .invalid(
        path: path, item: "the value type of metadata key \(key)", offset: offset,
        found: "\(number)", allowed: "0 to 12")
    }
    return type
  }

  private mutating func parseValue(
    of type: MetadataType, _ bytes: RawSpan, for key: String, nesting: Int
  ) throws(ModelFileError) -> GGUFMetadata.Entry {
    switch type {
    case .string:
      let range = try reader.stringRange(of: bytes, for: "the value of metadata key \(key)")
      return GGUFMetadata.Entry(type: type, bytes: range)
    case .array:
      return try parseArray(bytes, for: key, nesting: nesting)
    case .bool:
      let range = try parseBooleans(bytes, count: 1, for: key)
      return GGUFMetadata.Entry(type: type, bytes: range)
    case .uint8, .int8, .uint16, .int16, .uint32, .int32, .float32, .uint64, .int64, .float64:
      let range = try reader.skip(
        UInt64(type.minimumByteCount), in: bytes, for: "the value of metadata key \(key)")
      return GGUFMetadata.Entry(type: type, bytes: range)
    }
  }

  private mutating func parseArray(
    _ bytes: RawSpan, for key: String, nesting: Int
  ) throws(ModelFileError) -> GGUFMetadata.Entry {
    guard nesting < Self.nestingLimit else {
      throw .tooLarge(
        path: path, item: "the nesting of the array of metadata key \(key)",
        offset: reader.position, found: UInt64(nesting + 1), limit: Self.nestingLimit)
    }
    let elementType = try parseType(bytes, for: key)
    let count = try reader.count(
      of: bytes, itemsOf: elementType.minimumByteCount,
      for: "the element count of the array of metadata key \(key)")
    let start = reader.position
    switch elementType {
    case .bool:
      try parseBooleans(bytes, count: count, for: key)
    case .string, .array:
      for _ in 0..<count {
        _ = try parseValue(of: elementType, bytes, for: key, nesting: nesting + 1)
      }
    case .uint8, .int8, .uint16, .int16, .uint32, .int32, .float32, .uint64, .int64, .float64:
      try reader.skip(
        UInt64(count * elementType.minimumByteCount), in: bytes,
        for: "the array of metadata key \(key)")
    }
    return GGUFMetadata.Entry(
      type: .array, elementType: elementType, count: count, bytes: start..<reader.position)
  }

  @discardableResult
  private mutating func parseBooleans(
    _ bytes: RawSpan, count: Int, for key: String
  ) throws(ModelFileError) -> Range<Int> {
    let range = try reader.skip(
      UInt64(count), in: bytes, for: "the value of metadata key \(key)")
    for offset in range {
      let value = bytes.integer(at: offset, as: UInt8.self)
      guard value <= 1 else {
        throw .invalid(
          path: path, item: "the bool of metadata key \(key)", offset: offset, found: "\(value)",
          allowed: "0 and 1")
      }
    }
    return range
  }
}
