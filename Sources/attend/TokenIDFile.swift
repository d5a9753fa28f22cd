import Memory

/// A file of token ids: separated by white space or commas, or a JSON array.
enum TokenIDFile {
  static func read(_ path: String) throws(CommandFailure) -> [Int] {
    let bytes = try InputFile.read(path)
    guard let list = list(bytes) else {
      throw CommandFailure(.badData, "\(path): begins as a JSON array and does not end as one")
    }
    var ids: [Int] = []
    ids.reserveCapacity(list.count)
    for word in list {
      guard let id = number(word) else {
        let text = String(decoding: word.prefix(20), as: UTF8.self)
        throw CommandFailure(
          .badData,
          "\(path): '\(text)' is no token id; allowed: whole numbers, 0 to \(Int32.max), separated by "
            + "white space or commas, or a JSON array of them")
      }
      ids.append(id)
    }
    guard !ids.isEmpty else {
      throw CommandFailure(.badData, "\(path): holds no token ids; at least one is needed")
    }
    return ids
  }

  /// The words that should be ids; nil for an array without its end.
  private static func list(_ bytes: [UInt8]) -> [ArraySlice<UInt8>]? {
    let text = trimmed(bytes[...])
    guard text.first == UInt8(ascii: "[") else {
      return text.split { isSpace($0) || $0 == UInt8(ascii: ",") }
    }
    guard text.count >= 2, text.last == UInt8(ascii: "]") else { return nil }
    let inner = trimmed(text.dropFirst().dropLast())
    if inner.isEmpty { return [] }
    return inner.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map(trimmed)
  }

  private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let start = bytes.drop(while: isSpace)
    return start.prefix(through: (start.lastIndex { !isSpace($0) } ?? start.startIndex - 1))
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }

  private static func number(_ word: ArraySlice<UInt8>) -> Int? {
    guard !word.isEmpty, word.count <= 10 else { return nil }
    var value = 0
    for byte in word {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      value = value * 10 + Int(byte - UInt8(ascii: "0"))
    }
    return value <= Int(Int32.max) ? value : nil
  }
}
