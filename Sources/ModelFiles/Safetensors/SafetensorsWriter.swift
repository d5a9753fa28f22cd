import Glibc

/// Writes one f32 tensor row by row into a safetensors file.
///
/// The file appears under its name when it is complete; before that it has a temporary name beside it, which goes
/// when the writer does. Format: eight bytes of header length, a JSON header, the numbers (little-endian).
public final class SafetensorsWriter {
  private let path: String
  private let temporaryPath: String
  private var descriptor: Int32
  private var missingCount: Int

  /// Creates the file and writes its header.
  ///
  /// - Parameters:
  ///   - path: Where the file shall stand; one that is there is replaced at the end.
  ///   - tensor: The tensor's name, of letters, digits and the marks that JSON needs not escape.
  ///   - shape: Its shape, slowest dimension first.
  /// - Throws: ``ModelFileError/unwritable(path:reason:)``.
  public init(path: String, tensor: String, shape: [Int]) throws(ModelFileError) {
    self.path = path
    missingCount = shape.reduce(1, *)
    temporaryPath = "\(path).\(getpid()).part"
    descriptor = unsafe open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw Self.failure(path) }
    let sizes = shape.map(String.init).joined(separator: ",")
    var header =
      "{\"\(tensor)\":{\"dtype\":\"F32\",\"shape\":[\(sizes)],\"data_offsets\":[0,\(missingCount * 4)]}}"
    // The numbers begin at a multiple of eight bytes.
    while header.utf8.count % 8 != 0 { header += " " }
    var bytes: [UInt8] = []
    for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: header.utf8.count >> (8 * shift))) }
    bytes += header.utf8
    try unsafe write(bytes.span.bytes)
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
    guard close(descriptor) == 0, unsafe rename(temporaryPath, path) == 0 else {
      let error = Self.failure(path)
      descriptor = -1
      unsafe unlink(temporaryPath)
      throw error
    }
    descriptor = -1
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

  private static func failure(_ path: String) -> ModelFileError {
    let reason = unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "error \(errno)"
    return .unwritable(path: path, reason: reason)
  }
}
