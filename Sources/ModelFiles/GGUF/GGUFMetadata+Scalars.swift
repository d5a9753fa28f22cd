internal import Memory

extension GGUFMetadata {
  /// An integer of any of the eight integer types; throws where it does not fit `Int`.
  public func integer(_ key: String) throws(ModelFileError) -> Int? {
    guard let entry = entry(for: key) else { return nil }
    guard entry.type.isInteger else { throw mismatch(key, entry, wanted: "an integer") }
    guard let value = file.withBytes(in: entry.bytes, { entry.type.integer(in: $0, at: 0) }) else {
      throw outOfRange(key, entry.type)
    }
    return value
  }

  /// A floating-point number of either width, or an integer as the nearest number.
  public func double(_ key: String) throws(ModelFileError) -> Double? {
    guard let entry = entry(for: key) else { return nil }
    guard let value = file.withBytes(in: entry.bytes, { entry.type.number(in: $0, at: 0) }) else {
      throw mismatch(key, entry, wanted: "a number")
    }
    return value
  }

  /// A truth value.
  public func boolean(_ key: String) throws(ModelFileError) -> Bool? {
    guard let entry = entry(for: key) else { return nil }
    guard entry.type == .bool else { throw mismatch(key, entry, wanted: "bool") }
    return file.withBytes(in: entry.bytes) { $0.integer(at: 0, as: UInt8.self) } == 1
  }

  /// A text; throws where its bytes are not UTF-8.
  public func string(_ key: String) throws(ModelFileError) -> String? {
    guard let entry = entry(for: key) else { return nil }
    guard entry.type == .string else { throw mismatch(key, entry, wanted: "string") }
    guard let text = file.withBytes(in: entry.bytes, { $0.text(in: 0..<$0.byteCount) }) else {
      throw .wrongValue(path: path, key: key, found: "not UTF-8", wanted: "UTF-8 text")
    }
    return text
  }

  /// As `integer(_:)`, but the key must be there.
  public func requiredInteger(_ key: String) throws(ModelFileError) -> Int {
    try required(integer(key), key)
  }

  /// As `double(_:)`, but the key must be there.
  public func requiredDouble(_ key: String) throws(ModelFileError) -> Double {
    try required(double(key), key)
  }

  /// As `string(_:)`, but the key must be there.
  public func requiredString(_ key: String) throws(ModelFileError) -> String {
    try required(string(key), key)
  }

  func required<Value>(_ value: Value?, _ key: String) throws(ModelFileError) -> Value {
    guard let value else { throw .missingKey(path: path, key: key) }
    return value
  }

  func outOfRange(_ key: String, _ type: MetadataType) -> ModelFileError {
    .wrongValue(
      path: path, key: key, found: "\(type) beyond the range", wanted: "\(Int.min) to \(Int.max)")
  }

  func mismatch(_ key: String, _ entry: Entry, wanted: String) -> ModelFileError {
    let element = entry.elementType.map { " of \(entry.count) \($0)" } ?? ""
    return .wrongType(path: path, key: key, found: "\(entry.type)\(element)", wanted: wanted)
  }
}
