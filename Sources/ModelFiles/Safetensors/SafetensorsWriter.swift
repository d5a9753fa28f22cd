import Glibc
import Memory

/// Writes one f32 tensor row by row into a safetensors file.
///
/// The file appears under its name when it is complete; before that it has a temporary name beside it, which goes
/// when the writer does. Format: eight bytes of header length, a JSON header, the numbers (little-endian).
public final class SafetensorsWriter {
  private let path: String
  private let target: String
  private let temporaryPath: String
  private var descriptor: Int32
  private var missingCount: Int

  /// Creates the file and writes its header.
  ///
  /// A link is followed: the file that it leads to is replaced, the link stays.
  ///
  /// - Parameters:
  ///   - path: Where the file shall stand; a regular file that is there is replaced at the end.
  ///   - tensor: The tensor's name.
  ///   - shape: Its shape, slowest dimension first: no dimension below 0, and fewer than 2^61 elements.
  /// - Throws: ``ModelFileError/unwritable(path:reason:)``.
  public init(path: String, tensor: String, shape: [Int]) throws(ModelFileError) {
    guard let count = Self.elementCount(of: shape) else {
      throw .unwritable(
        path: path,
        reason:
          "a tensor's shape is \(shape); allowed: dimensions of 0 or more, fewer than 2^61 elements"
      )
    }
    self.path = path
    missingCount = count
    target = try Self.target(of: path)
    (descriptor, temporaryPath) = try Self.temporaryFile(for: target, path: path)
    try write(Self.header(tensor: tensor, shape: shape, count: missingCount))
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unsafe unlink(temporaryPath)
  }

  /// Appends numbers of the tensor.
  ///
  /// - Precondition: the tensor has room for them.
  public func append(_ numbers: Span<Float>) throws(ModelFileError) {
    precondition(numbers.count <= missingCount, "\(numbers.count) numbers for \(missingCount)")
    try unsafe write(numbers.bytes)
    missingCount -= numbers.count
  }

  /// Gives the complete file its name.
  ///
  /// - Precondition: all numbers have been appended; nothing follows.
  public func finish() throws(ModelFileError) {
    precondition(missingCount == 0 && descriptor >= 0, "\(missingCount) numbers are missing")
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0, unsafe rename(temporaryPath, target) == 0 else {
      let error = Self.failure(path)
      unsafe unlink(temporaryPath)
      throw error
    }
  }

  /// The product of the dimensions; nil where one is negative, or where the bytes of so many numbers could not be counted.
  private static func elementCount(of shape: [Int]) -> Int? {
    guard shape.allSatisfy({ $0 >= 0 }) else { return nil }
    if shape.contains(0) { return 0 }
    var count = 1
    for dimension in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      guard !overflow, product < 1 << 61 else { return nil }
      count = product
    }
    return count
  }

  private func write(_ bytes: [UInt8]) throws(ModelFileError) {
    try unsafe write(bytes.span.bytes)
  }

  private func write(_ bytes: RawSpan) throws(ModelFileError) {
    var written = 0
    while written < bytes.byteCount {
      // SAFETY: write reads the rest of the span, which outlives the call.
      let count = unsafe bytes.withUnsafeBytes { bytes in
        unsafe Glibc.write(
          descriptor, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw Self.failure(path) }
      written += count
    }
  }

  /// The path to replace, with all links followed; refuses a folder, a pipe or a device, whose place a file would take.
  private static func target(of path: String) throws(ModelFileError) -> String {
    guard !path.isEmpty else { throw .unwritable(path: path, reason: "the path is empty") }
    var status = stat()
    // Where nothing stands yet, creating the temporary file tells whether there can.
    guard unsafe stat(path, &status) == 0 else { return path }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw .unwritable(path: path, reason: "is a folder")
    default: throw .unwritable(path: path, reason: "is no regular file")
    }
    guard let resolved = unsafe realpath(path, nil) else { throw failure(path) }
    // SAFETY: realpath returned a terminated string that is this function's to free.
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  /// Creates a file beside the target whose name nobody has taken.
  private static func temporaryFile(
    for target: String, path: String
  ) throws(ModelFileError) -> (descriptor: Int32, path: String) {
    for number in 0..<1000 {
      let temporaryPath = "\(target).\(getpid())-\(number).part"
      let descriptor = unsafe open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      if descriptor >= 0 { return (descriptor, temporaryPath) }
      guard errno == EEXIST else { break }
    }
    throw failure(path)
  }

  /// The header with its length, padded so that the numbers begin at a multiple of eight bytes.
  private static func header(tensor: String, shape: [Int], count: Int) -> [UInt8] {
    let sizes = shape.map(String.init).joined(separator: ",")
    var text =
      "{\"\(escaped(tensor))\":{\"dtype\":\"F32\",\"shape\":[\(sizes)],\"data_offsets\":[0,\(count * 4)]}}"
    text += String(repeating: " ", count: (8 - text.utf8.count % 8) % 8)
    let length = text.utf8.count
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + text.utf8
  }

  /// The inside of a JSON string.
  ///
  /// RFC 8259, section 7: quotation mark, backslash and U+0000 to U+001F must be escaped.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      if scalar == "\"" || scalar == "\\" {
        result += "\\\(scalar)"
      } else if scalar.value < 0x20 {
        result += "\\u00" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func failure(_ path: String) -> ModelFileError {
    let reason = systemMessage(errno)
    return .unwritable(path: path, reason: reason)
  }
}
