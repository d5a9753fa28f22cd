/// A part of a file in memory, for any number of readers.
///
/// Unlike an array it can be refused: a file may be longer than what the machine has.
package final class FileContent: Sendable {
  private let bytes: Buffer<UInt8>

  /// Reads a part of a file; throws `outOfMemory` before anything is read, `fileEnds` or `unreadable`.
  package init(of file: ReadableFile, in range: Range<Int>) throws(MemoryError) {
    var bytes = try Buffer<UInt8>(count: range.count)
    try bytes.withMutableSpan { (span) throws(MemoryError) in
      var raw = unsafe span.mutableBytes
      try file.read(at: range.lowerBound, into: &raw)
    }
    self.bytes = bytes
  }

  package var byteCount: Int { bytes.count }

  /// Lends the bytes.
  package func withSpan<Result, Failure: Error>(
    _ body: (Span<UInt8>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try bytes.withSpan(body)
  }

  /// The checksum of some of the bytes.
  package func checksum(of range: Range<Int>) -> UInt64 {
    bytes.withSpan { Checksum.of(unsafe $0.extracting(range).bytes) }
  }

  /// Some of the bytes as an array.
  package func array(in range: Range<Int>) -> [UInt8] {
    bytes.withSpan { bytes in
      // SAFETY: the span checks the range, and the array copies before the span ends.
      unsafe bytes.extracting(range).withUnsafeBufferPointer { unsafe Array($0) }
    }
  }
}
