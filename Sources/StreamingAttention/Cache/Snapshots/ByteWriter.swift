/// Puts numbers and texts together as bytes, little-endian and without gaps.
package struct ByteWriter: Sendable {
  package private(set) var bytes: [UInt8] = []

  package init() {}

  package mutating func append<Value: FixedWidthInteger>(_ value: Value) {
    for byte in 0..<MemoryLayout<Value>.size {
      bytes.append(UInt8(truncatingIfNeeded: value >> Value(8 * byte)))
    }
  }

  /// A 64-bit number.
  package mutating func append(number value: Int) { append(Int64(value)) }

  package mutating func append(_ value: Double) { append(value.bitPattern) }

  package mutating func append(bytes more: [UInt8]) { bytes += more }

  /// The number of bytes, then the bytes.
  package mutating func append(block: [UInt8]) {
    append(UInt64(block.count))
    bytes += block
  }

  package mutating func append(text: String) { append(block: Array(text.utf8)) }
}
