import Glibc

/// The C library's words for an error number, without touching its shared buffer.
package func systemMessage(_ number: Int32) -> String {
  var text = [CChar](repeating: 0, count: 256)
  // SAFETY: strerror_r writes at most the bytes that it is given.
  guard unsafe strerror_r(number, &text, text.count) == 0 else { return "error \(number)" }
  return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
