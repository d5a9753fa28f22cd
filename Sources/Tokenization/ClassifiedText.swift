/// A text's scalars by class, with the place of each in the bytes.
///
/// A byte that belongs to no UTF-8 sequence counts as one scalar of the class `other`, so any bytes can be encoded.
struct ClassifiedText {
  /// The class of each scalar.
  private(set) var classes: [ScalarClass] = []
  /// The first byte of each scalar, and last the number of bytes.
  private(set) var offsets: [Int] = []
  /// The bytes.
  let bytes: [UInt8]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    classes.reserveCapacity(bytes.count)
    offsets.reserveCapacity(bytes.count + 1)
    var position = 0
    let span = bytes.span
    while position < span.count {
      offsets.append(position)
      switch UTF8Step(span, at: position) {
      case .scalar(let scalar, let byteCount):
        classes.append(ScalarClass(scalar))
        position += byteCount
      case .invalid, .incomplete:
        classes.append(.other)
        position += 1
      }
    }
    offsets.append(position)
  }

  /// The number of scalars.
  var count: Int { classes.count }

  private func isLetter(_ index: Int) -> Bool { index < count && classes[index] == .letter }

  private func isSymbol(_ index: Int) -> Bool { index < count && classes[index].isSymbol }

  private func end(ofRunFrom start: Int, while belongs: (ScalarClass) -> Bool) -> Int {
    var end = start
    while end < count, belongs(classes[end]) { end += 1 }
    return end
  }

  /// `PreTokenizer.smolLM`: the end of the piece at `start`.
  func gpt2PieceEnd(from start: Int) -> Int {
    if classes[start] == .number { return start + 1 }
    if let end = contractionEnd(from: start, folding: false) { return end }
    let body = classes[start] == .space ? start + 1 : start
    if isLetter(body) { return end(ofRunFrom: body) { $0 == .letter } }
    if isSymbol(body) { return end(ofRunFrom: body, while: \.isSymbol) }
    let end = end(ofRunFrom: start, while: \.isWhitespace)
    // Digits are cut out before the expression runs, so a number ends the text for the look-ahead.
    return end < count && classes[end] == .number ? end : whitespacePieceEnd(start..<end)
  }

  /// `PreTokenizer.llama3` and `.qwen2`: the end of the piece at `start`.
  func llama3PieceEnd(from start: Int, maximumDigits: Int) -> Int {
    let first = classes[start]
    if let end = contractionEnd(from: start, folding: true) { return end }
    if first == .letter { return end(ofRunFrom: start) { $0 == .letter } }
    if first == .number {
      return min(start + maximumDigits, end(ofRunFrom: start) { $0 == .number })
    }
    if first != .newline, isLetter(start + 1) {
      return end(ofRunFrom: start + 1) { $0 == .letter }
    }
    let body = first == .space ? start + 1 : start
    if isSymbol(body) {
      let symbolsEnd = end(ofRunFrom: body, while: \.isSymbol)
      return end(ofRunFrom: symbolsEnd) { $0 == .newline }
    }
    let end = end(ofRunFrom: start, while: \.isWhitespace)
    // `\s*[\r\n]+` gives back what follows the run's last line end.
    if let newline = classes[start..<end].lastIndex(of: .newline) { return newline + 1 }
    return whitespacePieceEnd(start..<end)
  }

  /// `\s+(?!\S)|\s+` at the start of a run of white space: all but the last when something follows.
  private func whitespacePieceEnd(_ run: Range<Int>) -> Int {
    run.upperBound == count || run.count == 1 ? run.upperBound : run.upperBound - 1
  }

  /// `'s|'t|'re|'ve|'m|'ll|'d`; nil where none of them starts.
  ///
  /// Case folding (Unicode's simple one) adds the capitals and "ſ", U+017F, which folds to "s".
  private func contractionEnd(from start: Int, folding: Bool) -> Int? {
    guard classes[start] == .apostrophe else { return nil }
    switch contractionLetter(start + 1, folding: folding) {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return contractionLetter(start + 2, folding: folding) == UInt8(ascii: "e") ? start + 3 : nil
    case UInt8(ascii: "l"):
      return contractionLetter(start + 2, folding: folding) == UInt8(ascii: "l") ? start + 3 : nil
    default: return nil
    }
  }

  /// The ASCII letter at a scalar's place, in lower case where `folding` is on; 0 for anything else.
  private func contractionLetter(_ index: Int, folding: Bool) -> UInt8 {
    guard isLetter(index) else { return 0 }
    let scalarBytes = bytes[offsets[index]..<offsets[index + 1]]
    guard let first = scalarBytes.first, scalarBytes.count == 1 else {
      return folding && Array(scalarBytes) == Array("ſ".utf8) ? UInt8(ascii: "s") : 0
    }
    return folding ? first | 0x20 : first
  }
}
