public import ModelFiles
public import StreamingAttention

/// Why a model cannot be loaded or run.
public enum ModelError: Error, Equatable {
  /// The file itself is at fault.
  case file(ModelFileError)
  /// The file is sound and asks for something that this program does not have.
  case unsupported(path: String, item: String, found: String, allowed: String)
  /// Two numbers of the file contradict each other, or one lies outside of what is meaningful.
  case invalid(path: String, item: String, found: String, allowed: String)
  /// The positions that the file or the caller asks for.
  case positions(PositionError)
  /// The cache or the engine refused.
  case attention(AttentionError)
  /// Memory for weights or activations could not be had.
  case outOfMemory(byteCount: Int)
  /// A number that the caller has chosen lies below the least one that means something.
  case tooSmall(option: String, received: Int, allowed: Int)
  /// A token id that the embedding has no row for.
  case tokenOutOfRange(received: Int, allowed: Range<Int>)
  /// The work was cancelled; the sequences are as before the step.
  case cancelled
}

extension ModelError: CustomStringConvertible {
  /// One line: what, where, what is allowed.
  public var description: String {
    switch self {
    case .file(let error): "\(error)"
    case .unsupported(let path, let item, let found, let allowed):
      "\(printable(path)): \(item) \(printable(found)) is not supported; supported: \(allowed)"
    case .invalid(let path, let item, let found, let allowed):
      "\(printable(path)): \(item) is \(printable(found)); allowed: \(allowed)"
    case .positions(let error): "rope: \(error)"
    case .attention(let error): "\(error)"
    case .outOfMemory(let byteCount):
      "cannot allocate \(byteCount) bytes; use a narrower type or a smaller model"
    case .tooSmall(let option, let received, let allowed):
      "\(option) is \(received); allowed: \(allowed) or more"
    case .tokenOutOfRange(let received, let allowed):
      "token id \(received) is outside of the model's vocabulary; allowed: \(allowed.lowerBound) to "
        + "\(allowed.upperBound - 1)"
    case .cancelled: "cancelled"
    }
  }

  /// What the engine refuses, as a model's error.
  init(_ error: AttentionError) {
    self = error == .cancelled ? .cancelled : .attention(error)
  }
}
