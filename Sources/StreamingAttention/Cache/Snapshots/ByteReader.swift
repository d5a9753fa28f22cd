package import Memory

/// Takes apart what a `ByteWriter` has put together; bytes from elsewhere may be anything.
package struct ByteReader: Sendable {
  /// What is wrong, and at which byte.
  package struct Defect: Error, Equatable, Sendable {
    package var offset: Int
    package var reason: String
  }

  private enum Source: Sendable {
    case array([UInt8])
    case file(FileContent)
  }

  private let source: Source
  package private(set) var offset: Int
  private let end: Int

  /// Reads a part of an array.
  ///
  /// - Precondition: The range lies inside.
  package init(_ bytes: [UInt8], in range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)
    source = .array(bytes)
    (offset, end) = (range.lowerBound, range.upperBound)
  }

  /// Reads a part of what is in memory of a file.
  ///
  /// - Precondition: The range lies inside.
  package init(_ content: FileContent, in range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= content.byteCount)
    source = .file(content)
    (offset, end) = (range.lowerBound, range.upperBound)
  }

  package init(_ bytes: [UInt8]) { self.init(bytes, in: 0..<bytes.count) }

  package var isAtEnd: Bool { offset == end }

  package func defect(_ reason: String) -> Defect { Defect(offset: offset, reason: reason) }

  package mutating func integer<Value: FixedWidthInteger>(
    _ type: Value.Type = Value.self
  ) throws(Defect) -> Value {
    let size = MemoryLayout<Value>.size
    guard end - offset >= size else { throw defect("it ends here") }
    defer { offset += size }
    return switch source {
    case .array(let bytes): Self.integer(in: bytes.span, at: offset)
    case .file(let content): content.withSpan { Self.integer(in: $0, at: offset) }
    }
  }

  private static func integer<Value: FixedWidthInteger>(
    in bytes: Span<UInt8>, at offset: Int
  ) -> Value {
    var value: Value = 0
    for byte in 0..<MemoryLayout<Value>.size {
      value |= Value(truncatingIfNeeded: bytes[offset + byte]) << Value(8 * byte)
    }
    return value
  }

  /// A 64-bit number in a range.
  package mutating func number(_ what: String, in allowed: ClosedRange<Int>) throws(Defect) -> Int {
    let value = Int(try integer(Int64.self))
    guard allowed.contains(value) else {
      throw Defect(
        offset: offset - 8,
        reason: "\(what) is \(value), allowed are \(allowed.lowerBound)…\(allowed.upperBound)")
    }
    return value
  }

  /// How many records of a size follow: no more than there are bytes for.
  package mutating func count(_ what: String, ofBytes size: Int) throws(Defect) -> Int {
    let value = try integer(UInt64.self)
    guard value <= UInt64((end - offset) / max(size, 1)) else {
      throw Defect(offset: offset - 8, reason: "\(value) \(what) do not fit in the file")
    }
    return Int(value)
  }

  package mutating func double() throws(Defect) -> Double {
    Double(bitPattern: try integer(UInt64.self))
  }

  package mutating func block() throws(Defect) -> [UInt8] {
    let count = try count("bytes", ofBytes: 1)
    defer { offset += count }
    return switch source {
    case .array(let bytes): Array(bytes[offset..<offset + count])
    case .file(let content): content.array(in: offset..<offset + count)
    }
  }

  package mutating func text() throws(Defect) -> String {
    String(decoding: try block(), as: UTF8.self)
  }
}
