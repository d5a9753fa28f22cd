internal import Memory

/// Everything in front of the tensor data of one GGUF file, checked against the file's length.
struct GGUFHeader: Sendable {
  let version: UInt32
  let metadata: GGUFMetadata
  let tensors: [GGUFTensor]

  /// Reads the header of a mapped file.
  ///
  /// GGUF specification, versions 2 and 3: magic, version, tensor count, key count, pairs, tensor entries, padding.
  init(of file: MappedFile) throws(ModelFileError) {
    self = try file.withBytes(in: 0..<file.byteCount) { bytes throws(ModelFileError) in
      var parser = GGUFHeaderParser(file: file)
      return try parser.parse(bytes)
    }
  }

  init(version: UInt32, metadata: GGUFMetadata, tensors: [GGUFTensor]) {
    self.version = version
    self.metadata = metadata
    self.tensors = tensors
  }
}
