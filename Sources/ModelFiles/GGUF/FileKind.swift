/// What a file that is no GGUF file seems to be.
enum FileKind {
  /// A phrase for the message, with what to do.
  static func describe(_ bytes: RawSpan) -> String {
    guard bytes.byteCount > 0 else { return "the file is empty; download it again" }
    let start = bytes.extracting(first: min(64, bytes.byteCount))
    if start.begins(with: "version https://git-lfs") {
      return "it is a Git LFS pointer, not the model; fetch the model with git lfs pull"
    }
    for magic in ["tjgg", "fmgg", "lmgg", "algg"] where start.begins(with: magic) {
      return "it has the magic number of a format before GGUF; convert the model again"
    }
    if start.begins(with: "FUGG") {
      return "it has the byte-swapped magic number of a big-endian machine; convert the model again"
    }
    if start.begins(with: "PK\u{3}\u{4}") {
      return "it is a ZIP archive, as PyTorch writes them; convert the model to GGUF"
    }
    if start.begins(with: "<") { return "it is a web page; download the model again" }
    var magic: [String] = []
    for index in 0..<min(4, start.byteCount) {
      let digits = String(start.integer(at: index, as: UInt8.self), radix: 16)
      magic.append(digits.count == 1 ? "0" + digits : digits)
    }
    return "its magic number is \(magic.joined(separator: " ")), wanted 47 47 55 46"
  }
}

extension RawSpan {
  fileprivate func begins(with text: String) -> Bool {
    let wanted = Array(text.utf8)
    guard byteCount >= wanted.count else { return false }
    for index in wanted.indices where integer(at: index, as: UInt8.self) != wanted[index] {
      return false
    }
    return true
  }
}
