import Glibc
import Memory

extension MappedFile {
  /// Maps the file at `path`, with this module's errors.
  static func opening(_ path: String) throws(ModelFileError) -> MappedFile {
    do {
      return try MappedFile(path: path)
    } catch {
      switch error {
      case .notFound: throw .notFound(path: path)
      case .isDirectory: throw .unreadable(path: path, reason: "is a directory, not a file")
      case .notRegularFile: throw .unreadable(path: path, reason: "not a regular file")
      case .unreadable(_, EMFILE), .unreadable(_, ENFILE): throw .tooManyOpenFiles(path: path)
      case .outOfAddressSpace(let byteCount):
        throw .outOfAddressSpace(path: path, byteCount: byteCount)
      case .unreadable(_, let number):
        throw .unreadable(path: path, reason: "cannot be read: \(systemMessage(number))")
      default: throw .unreadable(path: path, reason: error.description)
      }
    }
  }
}

extension RawSpan {
  /// The little-endian integer at `offset`, at any alignment; traps outside the span.
  func integer<Value: FixedWidthInteger & BitwiseCopyable>(
    at offset: Int, as type: Value.Type = Value.self
  ) -> Value {
    // SAFETY: the load is bounds-checked, and every bit pattern is a valid integer.
    Value(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: type))
  }

  /// The bytes of `range` as text; nil unless they are valid UTF-8.
  func text(in range: Range<Int>) -> String? {
    // SAFETY: the buffer does not outlive the closure, and String copies what it holds.
    unsafe extracting(range).withUnsafeBytes { unsafe String(validating: $0, as: UTF8.self) }
  }
}
