/// What is wrong with a model file, or with what was asked of it.
///
/// Every case knows the file, and where it applies the byte at which the trouble stands, what was found and what is
/// allowed. `description` is one line, whatever bytes the file holds.
public enum ModelFileError: Error, Equatable {
  /// There is no such file.
  case notFound(path: String)
  /// The file exists and cannot be read or mapped.
  case unreadable(path: String, reason: String)
  /// The process, or the whole system, has as many files open as it may.
  case tooManyOpenFiles(path: String)
  /// The process may not have the address space that the file takes when it is mapped.
  case outOfAddressSpace(path: String, byteCount: Int)
  /// The file could not be written.
  case unwritable(path: String, reason: String)
  /// The file does not begin as its format begins.
  case unrecognizedFormat(path: String, wanted: String, found: String)
  /// The file's format has a version that this reader does not know.
  case unsupportedVersion(path: String, version: UInt32, allowed: ClosedRange<UInt32>)
  /// A big-endian GGUF file.
  case bigEndian(path: String)
  /// An item claims bytes that the file does not have.
  case truncated(path: String, item: String, offset: UInt64, byteCount: UInt64, fileByteCount: Int)
  /// A count or length is larger than any this reader accepts, or than fits in the rest of the file.
  case tooLarge(path: String, item: String, offset: Int, found: UInt64, limit: Int)
  /// A field holds a value that the format does not allow.
  case invalid(path: String, item: String, offset: Int, found: String, allowed: String)
  /// A name that must be unique stands in the file twice.
  case duplicate(path: String, item: String, offset: Int)
  /// Two tensors claim the same bytes.
  case overlapping(path: String, tensor: String, other: String, offset: Int)
  /// The metadata lack a key.
  case missingKey(path: String, key: String)
  /// A key's value has another type than the one asked for.
  case wrongType(path: String, key: String, found: String, wanted: String)
  /// A key's value has the right type and no usable value.
  case wrongValue(path: String, key: String, found: String, wanted: String)
  /// There is no such tensor.
  case missingTensor(path: String, tensor: String)
  /// A tensor's dimensions (fastest first) are not the ones asked for.
  case wrongShape(path: String, tensor: String, found: [Int], wanted: [Int])
  /// A tensor is stored in a type that cannot be read.
  case unsupportedType(path: String, tensor: String, found: String)
  /// One file of a split model does not belong with the others, or is not the one to open.
  case wrongShard(path: String, found: String, wanted: String)
  /// One file of a split model is not there.
  case missingShard(path: String, wanted: String, count: Int)
  /// The text is not valid JSON.
  case invalidJSON(path: String, offset: Int, reason: String)
}

extension ModelFileError: CustomStringConvertible {
  /// One line: which file, what, where, what to change.
  public var description: String {
    switch self {
    case .notFound(let path): "\(printable(path)): no such file"
    case .unreadable(let path, let reason): "\(printable(path)): \(printable(reason))"
    case .tooManyOpenFiles(let path):
      "\(printable(path)): cannot be read: too many files are open; raise the limit (ulimit -n)"
    case .outOfAddressSpace(let path, let byteCount):
      "\(printable(path)): cannot reserve the \(byteCount) bytes of address space that mapping it takes; "
        + "raise the limit of the process (ulimit -v)"
    case .unwritable(let path, let reason):
      "\(printable(path)): cannot be written: \(printable(reason))"
    case .unrecognizedFormat(let path, let wanted, let found):
      "\(printable(path)): is no \(wanted) file: \(printable(found))"
    case .unsupportedVersion(let path, let version, let allowed):
      "\(printable(path)): GGUF version \(version) is not supported, "
        + "only \(allowed.lowerBound) to \(allowed.upperBound); convert the model again"
    case .bigEndian(let path):
      "\(printable(path)): is a big-endian GGUF file (its version is byte-swapped); "
        + "convert the model for a little-endian machine"
    case .truncated(let path, let item, let offset, let byteCount, let fileByteCount):
      "\(printable(path)): truncated or corrupt: \(printable(item)) takes \(byteCount) bytes at byte "
        + "\(offset), past the file's end at \(fileByteCount); download it again"
    case .tooLarge(let path, let item, let offset, let found, let limit):
      "\(printable(path)): corrupt: \(printable(item)) at byte \(offset) is \(found), too large: "
        + "at most \(limit) fit or are allowed; download it again"
    case .invalid(let path, let item, let offset, let found, let allowed):
      "\(printable(path)): \(printable(item)) at byte \(offset) is \(printable(found)); "
        + "allowed: \(printable(allowed))"
    case .duplicate(let path, let item, let offset):
      "\(printable(path)): \(printable(item)) appears twice, again at byte \(offset); "
        + "convert the model again"
    case .overlapping(let path, let tensor, let other, let offset):
      "\(printable(path)): corrupt: tensors \(printable(tensor)) and \(printable(other)) overlap "
        + "at byte \(offset); download it again"
    case .missingKey(let path, let key):
      "\(printable(path)): metadata key \(printable(key)) is missing"
    case .wrongType(let path, let key, let found, let wanted):
      "\(printable(path)): metadata key \(printable(key)) has type \(printable(found)), "
        + "wanted type \(printable(wanted))"
    case .wrongValue(let path, let key, let found, let wanted):
      "\(printable(path)): metadata key \(printable(key)) is \(printable(found)), "
        + "wanted \(printable(wanted))"
    case .missingTensor(let path, let tensor):
      "\(printable(path)): tensor \(printable(tensor)) is missing"
    case .wrongShape(let path, let tensor, let found, let wanted):
      "\(printable(path)): tensor \(printable(tensor)) has shape \(found), wanted \(wanted) "
        + "(dimensions, fastest first)"
    case .unsupportedType(let path, let tensor, let found):
      "\(printable(path)): tensor \(printable(tensor)) has type \(printable(found)), which cannot be read; "
        + "supported: \(TensorType.supportedNames)"
    case .wrongShard(let path, let found, let wanted):
      "\(printable(path)): is \(printable(found)) of a split model; wanted: \(printable(wanted))"
    case .missingShard(let path, let wanted, let count):
      "\(printable(path)): the model is split into \(count) files, and shard \(printable(wanted)) is missing "
        + "beside it; fetch all of them into one folder, under their own names"
    case .invalidJSON(let path, let offset, let reason):
      "\(printable(path)): invalid JSON at byte \(offset): \(printable(reason))"
    }
  }
}
