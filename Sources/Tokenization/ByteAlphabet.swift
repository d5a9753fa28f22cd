/// The 256 printable characters that stand for bytes in a byte-level BPE vocabulary.
///
/// Radford et al. 2019 (GPT-2), `encoder.py`, `bytes_to_unicode`: the printable bytes of Latin-1 stand for
/// themselves, the other 68 for U+0100 and on, in order; so a space is "Ġ" and a line feed "Ċ".
enum ByteAlphabet {
  private static func isPrintable(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: true
    default: false
    }
  }

  /// The character of each byte.
  static let scalars: [Unicode.Scalar] = {
    var nextSubstitute: UInt16 = 0x100
    return (UInt8.min...UInt8.max).map { byte in
      if isPrintable(byte) { return Unicode.Scalar(byte) }
      defer { nextSubstitute += 1 }
      return Unicode.Scalar(nextSubstitute) ?? "\u{FFFD}"
    }
  }()

  /// The byte of each character up to U+0143, the last one used.
  private static let bytes: [UInt8?] = {
    var bytes = [UInt8?](repeating: nil, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar.value)] = UInt8(byte) }
    return bytes
  }()

  /// Appends the bytes that `text` stands for; false, and nothing appended, where it holds another character.
  static func append(bytesOf text: some StringProtocol, to output: inout [UInt8]) -> Bool {
    let start = output.count
    for scalar in text.unicodeScalars {
      guard scalar.value < bytes.count, let byte = bytes[Int(scalar.value)] else {
        output.removeLast(output.count - start)
        return false
      }
      output.append(byte)
    }
    return true
  }
}
