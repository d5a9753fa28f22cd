import Glibc

/// Small text files of the system, as in /proc and /sys.
package enum SystemText {
  /// The whole file, or nil where it cannot be read.
  package static func read(_ path: String) -> String? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16_384)
    while true {
      // SAFETY: read writes at most the bytes that it is given.
      let count = unsafe buffer.withUnsafeMutableBytes { bytes in
        unsafe Glibc.read(descriptor, bytes.baseAddress, bytes.count)
      }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { return nil }
      guard count > 0 else { return String(decoding: text, as: UTF8.self) }
      text += buffer[..<count]
    }
  }

  /// A file that holds one whole number; nil for anything else, such as "max".
  static func number(_ path: String) -> Int? {
    read(path).flatMap { Int(trimming($0)) }
  }

  /// Numbers of a list as the kernel writes them: "0-3,8,10-11".
  ///
  /// Parts that are not numbers are skipped.
  static func list(_ text: some StringProtocol) -> [Int] {
    trimming(text).split(separator: ",").flatMap { part -> [Int] in
      let ends = part.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last, first >= 0, last >= first, last < 1 << 20
      else { return [] }
      return Array(first...last)
    }
  }

  /// The value of a field such as "MemTotal:   16 kB", in the units it is written in.
  static func field(_ name: String, in text: String) -> Int? {
    for line in text.split(separator: "\n") {
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      // A node's meminfo puts "Node 0" in front; a cgroup's memory.stat has no colon.
      let rest = words.first == "Node" ? words.dropFirst(2) : words[...]
      guard let first = rest.first, first == name || first == name + ":" else { continue }
      return rest.dropFirst().first.flatMap { Int($0) }
    }
    return nil
  }

  static func trimming(_ text: some StringProtocol) -> String {
    text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }
}
