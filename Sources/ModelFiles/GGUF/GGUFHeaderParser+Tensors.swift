internal import Memory

extension GGUFHeaderParser {
  /// A tensor's entry before its place is known.
  private struct TensorEntry {
    var name: String
    var dimensions: [Int]
    var type: TensorType
    var byteCount: UInt64
    /// From the start of the tensor data.
    var dataOffset: UInt64
    /// Where that number stands in the file.
    var fieldOffset: Int
  }

  mutating func parseTensors(
    _ bytes: RawSpan, count: Int, metadata: GGUFMetadata
  ) throws(ModelFileError) -> [GGUFTensor] {
    let alignment = try alignment(in: metadata)
    var entries: [TensorEntry] = []
    entries.reserveCapacity(count)
    var names: Set<String> = []
    for index in 0..<count {
      let offset = reader.position
      let entry = try parseEntry(bytes, number: index + 1, of: count)
      guard names.insert(entry.name).inserted else {
        throw .duplicate(path: path, item: "tensor \(entry.name)", offset: offset)
      }
      entries.append(entry)
    }

    let padding = (alignment - UInt64(reader.position) % alignment) % alignment
    let (dataStart, overflow) = UInt64(reader.position).addingReportingOverflow(padding)
    var tensors: [GGUFTensor] = []
    tensors.reserveCapacity(count)
    for entry in entries {
      let range = try place(
        entry, after: overflow ? .max : dataStart, alignment: alignment, in: bytes)
      tensors.append(
        GGUFTensor(
          name: entry.name, dimensions: entry.dimensions, type: entry.type, byteRange: range,
          file: file))
    }
    try refuseOverlaps(of: tensors)
    return tensors
  }

  /// What the starts of the data and of every tensor are multiples of.
  ///
  /// GGUF specification: `general.alignment`, a multiple of 8; 32 where it is absent.
  private func alignment(in metadata: GGUFMetadata) throws(ModelFileError) -> UInt64 {
    let key = "general.alignment"
    guard let alignment = try metadata.integer(key) else { return 32 }
    guard alignment > 0, alignment % 8 == 0 else {
      throw .wrongValue(path: path, key: key, found: "\(alignment)", wanted: "a multiple of 8")
    }
    return UInt64(alignment)
  }

  private mutating func parseEntry(
    _ bytes: RawSpan, number: Int, of count: Int
  ) throws(ModelFileError) -> TensorEntry {
    let name = try reader.name(
      of: bytes, limit: Self.nameByteLimit, for: "the name of tensor \(number) of \(count)")
    let dimensions = try parseDimensions(bytes, tensor: name)
    let typeOffset = reader.position
    let typeNumber: UInt32 = try reader.integer(of: bytes, for: "the type of tensor \(name)")
    guard let type = TensorType(rawValue: typeNumber) else {
      throw .unsupportedType(path: path, tensor: name, found: "\(typeNumber)")
    }
    let byteCount = try byteCount(of: type, dimensions, tensor: name, at: typeOffset)
    let fieldOffset = reader.position
    let dataOffset: UInt64 = try reader.integer(of: bytes, for: "the offset of tensor \(name)")
    return TensorEntry(
      name: name, dimensions: dimensions, type: type, byteCount: byteCount, dataOffset: dataOffset,
      fieldOffset: fieldOffset)
  }

  private mutating func parseDimensions(
    _ bytes: RawSpan, tensor: String
  ) throws(ModelFileError) -> [Int] {
    let countOffset = reader.position
    let count: UInt32 = try reader.integer(
      of: bytes, for: "the number of dimensions of tensor \(tensor)")
    guard count <= Self.dimensionLimit else {
      throw .tooLarge(
        path: path, item: "the number of dimensions of tensor \(tensor)", offset: countOffset,
        found: UInt64(count), limit: Self.dimensionLimit)
    }
    var dimensions: [Int] = []
    for index in 0..<Int(count) {
      let offset = reader.position
      let dimension: UInt64 = try reader.integer(
        of: bytes, for: "dimension \(index) of tensor \(tensor)")
      guard let size = Int(exactly: dimension), size > 0 else {
        throw .invalid(
          path: path, item: "dimension \(index) of tensor \(tensor)", offset: offset,
          found: "\(dimension)", allowed: "1 to \(Int.max)")
      }
      dimensions.append(size)
    }
    return dimensions
  }

  /// Bytes of a tensor, in arithmetic that cannot wrap.
  private func byteCount(
    of type: TensorType, _ dimensions: [Int], tensor: String, at offset: Int
  ) throws(ModelFileError) -> UInt64 {
    let block = type.block
    let columns = dimensions.first ?? 1
    guard columns % block.elementCount == 0 else {
      throw .invalid(
        path: path, item: "tensor \(tensor) of type \(type)", offset: offset,
        found: "in rows of \(columns)",
        allowed: "rows that are a multiple of the block of \(block.elementCount)")
    }
    var byteCount = columns / block.elementCount
    for factor in [block.byteCount] + dimensions.dropFirst() {
      let (product, overflow) = byteCount.multipliedReportingOverflow(by: factor)
      guard !overflow else {
        throw .invalid(
          path: path, item: "the size of tensor \(tensor)", offset: offset,
          found: "\(dimensions) of \(type)", allowed: "fewer than 2^63 bytes")
      }
      byteCount = product
    }
    return UInt64(byteCount)
  }

  /// The bytes of a tensor in the file.
  private func place(
    _ entry: TensorEntry, after dataStart: UInt64, alignment: UInt64, in bytes: RawSpan
  ) throws(ModelFileError) -> Range<Int> {
    guard entry.dataOffset % alignment == 0 else {
      throw .invalid(
        path: path, item: "the offset of tensor \(entry.name)", offset: entry.fieldOffset,
        found: "\(entry.dataOffset)", allowed: "multiples of the alignment, \(alignment)")
    }
    let (sum, overflow) = dataStart.addingReportingOverflow(entry.dataOffset)
    let start = overflow ? .max : sum
    guard start <= bytes.byteCount, entry.byteCount <= UInt64(bytes.byteCount) - start else {
      throw .truncated(
        path: path, item: "tensor \(entry.name)", offset: start, byteCount: entry.byteCount,
        fileByteCount: bytes.byteCount)
    }
    return Int(start)..<Int(start + entry.byteCount)
  }

  /// Tensors may share all their bytes (a tied matrix stored once), never some of them.
  private func refuseOverlaps(of tensors: [GGUFTensor]) throws(ModelFileError) {
    let sorted = tensors.sorted {
      ($0.byteRange.lowerBound, $0.byteRange.upperBound)
        < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
    }
    for (first, second) in zip(sorted, sorted.dropFirst())
    where first.byteRange.overlaps(second.byteRange) {
      guard first.byteRange == second.byteRange, first.type == second.type else {
        throw .overlapping(
          path: path, tensor: first.name, other: second.name, offset: second.byteRange.lowerBound)
      }
    }
  }
}
