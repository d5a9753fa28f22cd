/// What the system says about the first CPU.
package enum ProcessorFacts {
  /// The maker's name for it; nil where the system does not say.
  package static var name: String? { name(root: "") }

  /// Bytes of its largest cache; nil where the system does not say.
  package static var largestCacheBytes: Int? { largestCacheBytes(root: "") }

  static func name(root: String) -> String? {
    guard let text = SystemText.read(root + "/proc/cpuinfo") else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("model name") {
      return line.split(separator: ":", maxSplits: 1).last.map(SystemText.trimming)
    }
    return nil
  }

  static func largestCacheBytes(root: String) -> Int? {
    (0..<16).compactMap { index in
      SystemText.read(root + "/sys/devices/system/cpu/cpu0/cache/index\(index)/size")
        .flatMap { byteCount(SystemText.trimming($0)) }
    }.max()
  }

  /// `266240K` or `32M`, in bytes.
  private static func byteCount(_ text: String) -> Int? {
    let digits = text.prefix { $0.isNumber }
    guard let number = Int(digits) else { return nil }
    return switch text.dropFirst(digits.count) {
    case "": number
    case "K": number << 10
    case "M": number << 20
    default: nil
    }
  }
}
