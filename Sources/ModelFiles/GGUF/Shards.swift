internal import Memory

/// The files of a split model, named NAME-00001-of-0000N.gguf.
///
/// llama.cpp, `gguf-split`: `split.count` files; `split.no` counts from 0, names count from 1.
struct Shards {
  let count: Int
  private let firstPath: String
  private var stem = ""
  private let tensorCount: Int?

  /// What the metadata of the file at `firstPath` say; throws unless it is the first of its model.
  init(firstPath: String, metadata: GGUFMetadata) throws(ModelFileError) {
    self.firstPath = firstPath
    count = try metadata.integer("split.count") ?? 0
    tensorCount = try metadata.integer("split.tensors.count")
    guard count > 1 else { return }
    guard count <= 99_999 else {
      throw .wrongValue(
        path: firstPath, key: "split.count", found: "\(count)", wanted: "at most 99999")
    }
    let number = try metadata.integer("split.no") ?? 0
    guard number == 0 else {
      throw .wrongShard(
        path: firstPath, found: "shard \(number + 1) of \(count)",
        wanted: "shard 1, whose name ends in \(Self.suffix(0, of: count))")
    }
    let suffix = Self.suffix(0, of: count)
    guard firstPath.hasSuffix(suffix) else {
      throw .wrongShard(
        path: firstPath, found: "shard 1 of \(count) under another name",
        wanted: "a name that ends in \(suffix), and the other shards beside it")
    }
    stem = String(firstPath.dropLast(suffix.count))
  }

  /// The numbers (from 0) of the files to open besides the first.
  var furtherNumbers: Range<Int> { count > 1 ? 1..<count : 0..<0 }

  /// Maps the file of this number.
  func open(_ number: Int) throws(ModelFileError) -> MappedFile {
    do {
      return try MappedFile.opening(stem + Self.suffix(number, of: count))
    } catch {
      guard case .notFound(let path) = error else { throw error }
      throw .missingShard(path: firstPath, wanted: path, count: count)
    }
  }

  /// Throws unless the model has as many tensors as its first file says.
  func check(tensorCount found: Int) throws(ModelFileError) {
    guard count > 1, let tensorCount, tensorCount != found else { return }
    throw .wrongValue(
      path: firstPath, key: "split.tensors.count", found: "\(tensorCount)",
      wanted: "\(found), the number of tensors in all shards")
  }

  private static func suffix(_ number: Int, of count: Int) -> String {
    "-\(padded(number + 1))-of-\(padded(count)).gguf"
  }

  private static func padded(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}

extension GGUFHeader {
  /// Reads a further file of a split model; throws unless it says that it is this one.
  init(of file: MappedFile, number: Int, of shards: Shards) throws(ModelFileError) {
    try self.init(of: file)
    let foundNumber = try metadata.integer("split.no")
    let foundCount = try metadata.integer("split.count")
    guard foundNumber == number, foundCount == shards.count else {
      throw .wrongShard(
        path: file.path,
        found: "shard \(foundNumber.map { "\($0)" } ?? "?") (from 0) of \(foundCount ?? 0)",
        wanted: "shard \(number) of \(shards.count)")
    }
  }
}
