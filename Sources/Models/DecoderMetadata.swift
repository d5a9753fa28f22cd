import ModelFiles

/// Typed and checked access to one architecture's keys.
struct DecoderMetadata {
  let file: GGUFFile
  var prefix = ""

  /// The largest size that any key may state: far above any model's, far below overflow.
  static let largestSize = 1 << 24

  func prefixed(_ architecture: String) -> DecoderMetadata {
    DecoderMetadata(file: file, prefix: architecture + ".")
  }

  func invalid(_ key: String, _ found: String, _ allowed: String) -> ModelError {
    .invalid(path: file.path, item: "metadata key \(prefix)\(key)", found: found, allowed: allowed)
  }

  private func read<Value>(
    _ body: (GGUFMetadata) throws(ModelFileError) -> Value
  ) throws(ModelError) -> Value {
    do throws(ModelFileError) { return try body(file.metadata) } catch { throw .file(error) }
  }

  func string(_ key: String) throws(ModelError) -> String {
    try read { metadata throws(ModelFileError) in try metadata.requiredString(prefix + key) }
  }

  func optionalString(_ key: String) throws(ModelError) -> String? {
    try read { metadata throws(ModelFileError) in try metadata.string(prefix + key) }
  }

  func integer(_ key: String) throws(ModelError) -> Int? {
    try read { metadata throws(ModelFileError) in try metadata.integer(prefix + key) }
  }

  func double(_ key: String) throws(ModelError) -> Double? {
    try read { metadata throws(ModelFileError) in try metadata.double(prefix + key) }
  }

  /// A size of 1 or more.
  func optionalSize(_ key: String) throws(ModelError) -> Int? {
    guard let value = try integer(key) else { return nil }
    guard (1...Self.largestSize).contains(value) else {
      throw invalid(key, "\(value)", "1 to \(Self.largestSize)")
    }
    return value
  }

  func size(_ key: String) throws(ModelError) -> Int {
    guard let value = try optionalSize(key) else {
      throw .file(.missingKey(path: file.path, key: prefix + key))
    }
    return value
  }

  /// A size stated once or for each layer, then the same for all.
  func optionalSizeOfAllLayers(_ key: String, layers: Int) throws(ModelError) -> Int? {
    guard file.metadata.elementCount(of: prefix + key) != nil else { return try optionalSize(key) }
    let values = try read { metadata throws(ModelFileError) in
      try metadata.integers(prefix + key, oneForEachOf: layers)
    }
    guard let values, let first = values.first else { return nil }
    guard values.allSatisfy({ $0 == first }) else {
      throw .unsupported(
        path: file.path, item: "metadata key \(prefix)\(key)", found: "that differs between layers",
        allowed: "one value for all")
    }
    guard (1...Self.largestSize).contains(first) else {
      throw invalid(key, "\(first)", "1 to \(Self.largestSize)")
    }
    return first
  }

  func sizeOfAllLayers(_ key: String, layers: Int) throws(ModelError) -> Int {
    guard let value = try optionalSizeOfAllLayers(key, layers: layers) else {
      throw .file(.missingKey(path: file.path, key: prefix + key))
    }
    return value
  }

  func epsilon(_ key: String) throws(ModelError) -> Float {
    guard let value = try double(key) else {
      throw .file(.missingKey(path: file.path, key: prefix + key))
    }
    guard value.isFinite, value >= 0, value < 1 else {
      throw invalid(key, "\(value)", "0 to 1")
    }
    return Float(value)
  }

  /// A sliding window; 0 stands for none.
  func window(_ key: String) throws(ModelError) -> Int? {
    guard let value = try integer(key), value != 0 else { return nil }
    guard (1...Int(Int32.max)).contains(value) else {
      throw invalid(key, "\(value)", "0 (none) to \(Int32.max)")
    }
    return value
  }
}
