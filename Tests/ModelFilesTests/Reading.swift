import ModelFiles
import Testing

/// What came of reading a file to its last byte.
enum Reading {
  /// The file opened; the errors are of single values and tensors.
  case opened(GGUFFile, errors: [ModelFileError])
  case refused(ModelFileError)

  /// Opens the file, asks for every value in every way and for every element of every tensor.
  init(_ path: String) {
    do throws(ModelFileError) {
      let file = try GGUFFile(path: path)
      var errors: [ModelFileError] = []
      for key in file.metadata.keys { errors += Self.errors(of: key, in: file.metadata) }
      for tensor in file.tensors {
        do throws(ModelFileError) {
          let whole = try tensor.floats()
          var row = [Float](repeating: 0, count: tensor.columnCount)
          var span = row.mutableSpan
          try tensor.dequantizeRows(tensor.rowCount - 1..<tensor.rowCount, into: &span)
          #expect(row.map(\.bitPattern) == whole.suffix(row.count).map(\.bitPattern))
        } catch {
          errors.append(error)
        }
      }
      self = .opened(file, errors: errors)
    } catch {
      self = .refused(error)
    }
  }

  /// All errors, wherever they came up.
  var errors: [ModelFileError] {
    switch self {
    case .opened(_, let errors): errors
    case .refused(let error): [error]
    }
  }

  private static func errors(of key: String, in metadata: GGUFMetadata) -> [ModelFileError] {
    var errors: [ModelFileError] = []
    func collect(_ body: () throws(ModelFileError) -> Void) {
      do throws(ModelFileError) { try body() } catch { errors.append(error) }
    }
    collect { () throws(ModelFileError) in _ = try metadata.value(key) }
    collect { () throws(ModelFileError) in _ = try metadata.requiredInteger(key) }
    collect { () throws(ModelFileError) in _ = try metadata.requiredDouble(key) }
    collect { () throws(ModelFileError) in _ = try metadata.requiredString(key) }
    collect { () throws(ModelFileError) in _ = try metadata.boolean(key) }
    collect { () throws(ModelFileError) in _ = try metadata.strings(key) }
    collect { () throws(ModelFileError) in _ = try metadata.integers(key) }
    collect { () throws(ModelFileError) in _ = try metadata.doubles(key) }
    collect { () throws(ModelFileError) in _ = try metadata.booleans(key) }
    collect { () throws(ModelFileError) in _ = try metadata.integers(key, oneForEachOf: 3) }
    return errors
  }
}

extension ModelFileError {
  /// The name of the case: `truncated`.
  var kind: String { Mirror(reflecting: self).children.first?.label ?? "\(self)" }

  /// Whether the description is one line of reasonable length that names the file first.
  func isOneLine(about path: String) -> Bool {
    // Lengths: every text in a message is cut to 352 scalars of at most 10 characters when escaped.
    description.hasPrefix(path + ": ") && description.count < 15_000
      && !description.contains(where: \.isNewline)
      && !description.unicodeScalars.contains { $0.properties.generalCategory == .control }
  }
}

/// The bytes of a span.
func array(_ bytes: RawSpan) -> [UInt8] {
  // SAFETY: the buffer is copied before the closure returns.
  unsafe bytes.withUnsafeBytes { unsafe Array($0) }
}
