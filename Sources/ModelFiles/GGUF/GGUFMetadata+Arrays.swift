internal import Memory

extension GGUFMetadata {
  /// An array of strings; throws where one of them is not UTF-8.
  ///
  /// One pass over the mapped bytes; a vocabulary of 49,000 tokens takes a few milliseconds.
  public func strings(_ key: String) throws(ModelFileError) -> [String]? {
    guard let entry = try array(key, wanted: "an array of strings", where: { $0 == .string }) else {
      return nil
    }
    return try file.withBytes(in: entry.bytes) { bytes throws(ModelFileError) in
      var strings: [String] = []
      strings.reserveCapacity(entry.count)
      var offset = 0
      for index in 0..<entry.count {
        // The length passed every check when the file was opened.
        let end = offset + 8 + bytes.integer(at: offset, as: Int.self)
        guard let text = bytes.text(in: offset + 8..<end) else {
          throw .wrongValue(
            path: path, key: key, found: "not UTF-8 in element \(index)", wanted: "UTF-8 text")
        }
        strings.append(text)
        offset = end
      }
      return strings
    }
  }

  /// An array of integers of any of the eight integer types.
  public func integers(_ key: String) throws(ModelFileError) -> [Int]? {
    guard let entry = try array(key, wanted: "an array of integers", where: \.isInteger),
      let type = entry.elementType
    else { return nil }
    return try file.withBytes(in: entry.bytes) { bytes throws(ModelFileError) in
      var integers: [Int] = []
      integers.reserveCapacity(entry.count)
      for index in 0..<entry.count {
        guard let value = type.integer(in: bytes, at: index * type.minimumByteCount) else {
          throw outOfRange(key, type)
        }
        integers.append(value)
      }
      return integers
    }
  }

  /// An array of numbers of any integer or floating-point type.
  public func doubles(_ key: String) throws(ModelFileError) -> [Double]? {
    let entry = try array(key, wanted: "an array of numbers") {
      $0.isFixedWidth && $0 != .bool
    }
    guard let entry, let type = entry.elementType else { return nil }
    return file.withBytes(in: entry.bytes) { bytes in
      (0..<entry.count).map { type.number(in: bytes, at: $0 * type.minimumByteCount) ?? .nan }
    }
  }

  /// An array of truth values.
  public func booleans(_ key: String) throws(ModelFileError) -> [Bool]? {
    guard let entry = try array(key, wanted: "an array of bools", where: { $0 == .bool }) else {
      return nil
    }
    return file.withBytes(in: entry.bytes) { bytes in
      (0..<entry.count).map { bytes.integer(at: $0, as: UInt8.self) == 1 }
    }
  }

  /// The most items that one integer stands for: far above any model's layers, far below what memory holds.
  private static let mostItems = 1 << 24

  /// One integer per layer (or other item): an array of exactly `count`, or one integer that stands for all.
  ///
  /// `count` may be as the file states it: where one integer cannot stand for so many items, that throws too.
  public func integers(_ key: String, oneForEachOf count: Int) throws(ModelFileError) -> [Int]? {
    guard type(of: key) == .array else {
      guard let integer = try integer(key) else { return nil }
      guard (0...Self.mostItems).contains(count) else {
        throw .wrongValue(
          path: path, key: key, found: "one integer for \(count) items",
          wanted: "0 to \(Self.mostItems) items")
      }
      return Array(repeating: integer, count: count)
    }
    let integers = try integers(key)
    if let integers, integers.count != count {
      throw .wrongValue(
        path: path, key: key, found: "an array of length \(integers.count)",
        wanted: "one entry for each of \(count)")
    }
    return integers
  }

  /// The key's array, if there is one with elements of an accepted type.
  private func array(
    _ key: String, wanted: String, where accepts: (MetadataType) -> Bool
  ) throws(ModelFileError) -> Entry? {
    guard let entry = entry(for: key) else { return nil }
    guard let elementType = entry.elementType, accepts(elementType) else {
      throw mismatch(key, entry, wanted: wanted)
    }
    return entry
  }
}
