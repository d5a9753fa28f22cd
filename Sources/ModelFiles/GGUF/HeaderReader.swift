/// A position in a file's header that only moves over bytes which are there.
///
/// The bytes are handed to every call, so that no span outlives the closure that lends it.
struct HeaderReader {
  let path: String
  private(set) var position = 0

  init(path: String) {
    self.path = path
  }

  /// The next little-endian integer.
  mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type = Value.self, of bytes: RawSpan, for item: @autoclosure () -> String
  ) throws(ModelFileError) -> Value {
    let range = try skip(UInt64(MemoryLayout<Value>.size), in: bytes, for: item())
    return bytes.integer(at: range.lowerBound, as: type)
  }

  /// Moves over `byteCount` bytes and returns where they lie.
  @discardableResult
  mutating func skip(
    _ byteCount: UInt64, in bytes: RawSpan, for item: @autoclosure () -> String
  ) throws(ModelFileError) -> Range<Int> {
    guard byteCount <= UInt64(bytes.byteCount - position) else {
      throw .truncated(
        path: path, item: item(), offset: UInt64(position), byteCount: byteCount,
        fileByteCount: bytes.byteCount)
    }
    let start = position
    position += Int(byteCount)
    return start..<position
  }

  /// The next 64-bit count of items that take at least `minimumByteCount` bytes each.
  ///
  /// A count that passes can be looped over and reserved for: the rest of the file has room for so many.
  mutating func count(
    of bytes: RawSpan, itemsOf minimumByteCount: Int, limit: Int = .max,
    for item: @autoclosure () -> String
  ) throws(ModelFileError) -> Int {
    let offset = position
    let count: UInt64 = try integer(of: bytes, for: item())
    try check(count, at: offset, of: bytes, itemsOf: minimumByteCount, limit: limit, for: item())
    return Int(count)
  }

  /// Throws unless the rest of the file has room for `count` items of at least `minimumByteCount` bytes.
  func check(
    _ count: UInt64, at offset: Int, of bytes: RawSpan, itemsOf minimumByteCount: Int,
    limit: Int = .max, for item: @autoclosure () -> String
  ) throws(ModelFileError) {
    let room = min(limit, (bytes.byteCount - position) / minimumByteCount)
    guard count <= UInt64(room) else {
      throw .tooLarge(path: path, item: item(), offset: offset, found: count, limit: room)
    }
  }

  /// The place of the next string (a 64-bit length, then UTF-8).
  mutating func stringRange(
    of bytes: RawSpan, for item: @autoclosure () -> String
  ) throws(ModelFileError) -> Range<Int> {
    let byteCount: UInt64 = try integer(of: bytes, for: "the length of \(item())")
    return try skip(byteCount, in: bytes, for: item())
  }

  /// The next string, which must have 1 to `limit` bytes.
  mutating func name(
    of bytes: RawSpan, limit: Int, for item: @autoclosure () -> String
  ) throws(ModelFileError) -> String {
    let offset = position
    let range = try stringRange(of: bytes, for: item())
    guard !range.isEmpty else {
      throw .invalid(
        path: path, item: item(), offset: offset, found: "empty", allowed: "1 to \(limit) bytes")
    }
    guard range.count <= limit else {
      throw .tooLarge(
        path: path, item: "the length of \(item())", offset: offset, found: UInt64(range.count),
        limit: limit)
    }
    guard let text = bytes.text(in: range) else {
      throw .invalid(
        path: path, item: item(), offset: range.lowerBound, found: "not UTF-8",
        allowed: "UTF-8 text")
    }
    return text
  }
}
