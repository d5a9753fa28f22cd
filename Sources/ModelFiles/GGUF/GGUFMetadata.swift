internal import Memory

/// The typed key-value pairs in front of a GGUF file's tensors.
///
/// Values stay in the mapped file and are decoded when asked for; their structure was checked when the file was
/// opened. An accessor returns nil where the key is absent, and throws where its value has another type.
public struct GGUFMetadata: Sendable {
  /// Where a value lies: past its type, for an array past the element type and the count.
  struct Entry: Sendable {
    var type: MetadataType
    var elementType: MetadataType?
    var count = 1
    var bytes: Range<Int>
  }

  /// The file that holds the values.
  public let path: String

  /// Every key, in the order of the file.
  public private(set) var keys: [String] = []

  let file: MappedFile
  private var entries: [String: Entry] = [:]

  init(path: String, file: MappedFile) {
    self.path = path
    self.file = file
  }

  /// Adds a key; false if it was there.
  mutating func insert(_ entry: Entry, for key: String) -> Bool {
    guard entries.updateValue(entry, forKey: key) == nil else { return false }
    keys.append(key)
    return true
  }

  func entry(for key: String) -> Entry? { entries[key] }

  /// Whether the key is there, with a value of any type.
  public func contains(_ key: String) -> Bool { entries[key] != nil }

  /// The type of the key's value; nil if the key is absent.
  public func type(of key: String) -> MetadataType? { entries[key]?.type }

  /// The type of the elements of the key's array; nil if there is no such array.
  public func elementType(of key: String) -> MetadataType? { entries[key]?.elementType }

  /// The number of elements of the key's array; nil if there is no such array.
  public func elementCount(of key: String) -> Int? {
    entries[key].flatMap { $0.type == .array ? $0.count : nil }
  }
}
