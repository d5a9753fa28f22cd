/// Turns the bytes of one token after the other into whole characters.
///
/// A token may end inside a character: its bytes are held back until the rest arrives. Put together, the texts are
/// what `String(decoding:as:)` makes of all bytes at once: bytes that cannot become a character, whatever
/// follows, become U+FFFD. A character here is a Unicode scalar; a flag, say, may arrive in two texts.
public struct UTF8Assembler: Sendable {
  /// The beginning of a character: at most three bytes between calls.
  private var held: [UInt8] = []

  /// An assembler that holds nothing.
  public init() { held.reserveCapacity(64) }

  /// The number of bytes that wait for the rest of their character.
  public var heldByteCount: Int { held.count }

  /// They themselves; an assembler that takes them first goes on as this one does.
  package var heldBytes: [UInt8] { held }

  /// Takes the next bytes and gives the characters that are whole now; empty where none is.
  ///
  /// Texts of up to 15 bytes take no memory from the heap, nor does anything else once a longest token was seen.
  public mutating func append(_ bytes: some Sequence<UInt8>) -> String {
    held.append(contentsOf: bytes)
    let wholeCount = held.count - openByteCount
    let text = String(decoding: held[..<wholeCount], as: UTF8.self)
    held.removeFirst(wholeCount)
    return text
  }

  /// Gives what is still held, U+FFFD for the beginning of a character, and holds nothing any more.
  public mutating func finish() -> String {
    defer { held.removeAll(keepingCapacity: true) }
    return String(decoding: held, as: UTF8.self)
  }

  /// The number of bytes at the end that begin a character; a first byte always begins anew.
  private var openByteCount: Int {
    for byteCount in 1...3 where byteCount <= held.count {
      let step = UTF8Step(held.span, at: held.count - byteCount)
      if step == .incomplete(byteCount: byteCount) { return byteCount }
    }
    return 0
  }
}
