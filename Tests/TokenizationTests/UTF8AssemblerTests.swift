import TestSupport
import Testing
import Tokenization

@Suite("UTF-8 assembler")
struct UTF8AssemblerTests {
  private func isEqual(_ a: String, _ b: String) -> Bool {
    a.unicodeScalars.elementsEqual(b.unicodeScalars)
  }

  @Test("a character comes when its last byte does", arguments: ["a", "é", "日", "🙂"])
  func characters(text: String) {
    var assembler = UTF8Assembler()
    let bytes = Array(text.utf8)
    for byte in bytes.dropLast() { #expect(assembler.append([byte]) == "") }
    #expect(assembler.heldByteCount == bytes.count - 1)
    #expect(assembler.append(bytes.suffix(1)) == text)
    #expect(assembler.heldByteCount == 0)
    #expect(assembler.finish() == "")
  }

  @Test("any bytes in any pieces give what decoding them at once gives", arguments: 0..<200)
  func equalsDecoding(seed: Int) {
    var generator = SeededGenerator(seed: UInt64(seed))
    // First bytes, continuations and bounds of the table of well-formed sequences, and ASCII.
    let pool: [UInt8] = [
      0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED,
      0xEF,
      0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
    ]
    let bytes = (0..<300).map { _ in pool.randomElement(using: &generator) ?? 0 }
    var (assembler, text, position) = (UTF8Assembler(), "", 0)
    while position < bytes.count {
      let end = min(bytes.count, position + generator.integer(in: 0..<5))
      let piece = assembler.append(bytes[position..<end])
      text.unicodeScalars.append(contentsOf: piece.unicodeScalars)
      #expect(assembler.heldByteCount <= 3)
      position = end
    }
    text.unicodeScalars.append(contentsOf: assembler.finish().unicodeScalars)
    #expect(isEqual(text, String(decoding: bytes, as: UTF8.self)))
  }

  @Test("real tokens, one by one, give the text")
  func tokens() throws {
    let tokenizer = try SmolLM2.tokenizer.get()
    let text = "naïve 日本語 🙂👩🏽 — don’t; Привет"
    var (assembler, texts) = (UTF8Assembler(), [String]())
    for token in tokenizer.encode(text, specialTokens: .asText) {
      texts.append(assembler.append(try tokenizer.bytes(of: token)))
    }
    texts.append(assembler.finish())
    #expect(texts.joined() == text)
    #expect(texts.contains("") && !texts.joined().contains("\u{FFFD}"))
  }

  @Test("a broken character shows as soon as it is broken, an unfinished one at the end")
  func broken() {
    var assembler = UTF8Assembler()
    #expect(assembler.append([0xF0, 0x9F]) == "")
    #expect(assembler.append([0x41]) == "\u{FFFD}A")
    #expect(assembler.append([0xFF]) == "\u{FFFD}")
    #expect(assembler.append([0x42, 0xE6, 0x97]) == "B")
    #expect(assembler.finish() == "\u{FFFD}")
    #expect(assembler.finish() == "")
  }

  @Test("short texts take nothing from the heap", .enabled(if: AllocationCount.isAvailable))
  func allocations() {
    var assembler = UTF8Assembler()
    let pieces: [[UInt8]] = [Array(" the".utf8), [0xF0, 0x9F], [0x99, 0x82], Array("ing".utf8)]
    var byteCount = 0
    func run() {
      for _ in 0..<100 {
        for index in pieces.indices { byteCount += assembler.append(pieces[index]).utf8.count }
      }
    }
    // The first pass sets up what the runtime knows of generic types.
    run()
    let allocations = AllocationCount.during { run() }
    #expect(byteCount == 200 * 11)
    #expect(allocations == 0)
  }
}
