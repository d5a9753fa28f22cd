internal import Memory

/// A model in a GGUF file, or in the files that it was split into.
///
/// The files are mapped, not copied: opening reads the metadata and the tensor entries only, and checks all of them.
/// Versions 2 and 3, little-endian. A file that another process shortens while it is open ends the program with a bus
/// error; see `MappedFile`.
public final class GGUFFile: Sendable {
  /// The path it was opened by.
  public let path: String
  /// The format's version, 2 or 3.
  public let version: UInt32
  /// The typed key-value pairs; of a split model, those of its first file.
  public let metadata: GGUFMetadata
  /// All tensors, in the order of their entries.
  public let tensors: [GGUFTensor]
  /// Length of all files together.
  public let byteCount: Int

  private let indices: [String: Int]

  /// Maps and checks the file at `path`, and for the first file of a split model also the others beside it.
  ///
  /// Time and memory are bounded by a small multiple of the bytes in front of the tensor data.
  public init(path: String) throws(ModelFileError) {
    let file = try MappedFile.opening(path)
    let header = try GGUFHeader(of: file)
    let shards = try Shards(firstPath: path, metadata: header.metadata)
    var tensors = header.tensors
    var byteCount = file.byteCount
    for number in shards.furtherNumbers {
      let shard = try shards.open(number)
      tensors += try GGUFHeader(of: shard, number: number, of: shards).tensors
      byteCount += shard.byteCount
    }
    try shards.check(tensorCount: tensors.count)

    var indices: [String: Int] = [:]
    for (index, tensor) in tensors.enumerated() {
      guard indices.updateValue(index, forKey: tensor.name) == nil else {
        throw .duplicate(
          path: tensor.path, item: "tensor \(tensor.name)", offset: tensor.byteRange.lowerBound)
      }
    }
    self.path = path
    version = header.version
    metadata = header.metadata
    self.tensors = tensors
    self.byteCount = byteCount
    self.indices = indices
  }

  /// The tensor of this name, if the model has it.
  public subscript(name: String) -> GGUFTensor? { indices[name].map { tensors[$0] } }

  /// The tensor of this name; throws `missingTensor` where the model lacks it.
  public func tensor(_ name: String) throws(ModelFileError) -> GGUFTensor {
    guard let tensor = self[name] else { throw .missingTensor(path: path, tensor: name) }
    return tensor
  }
}
