/// The rules that cut text into pieces before bytes are merged; no token spans two pieces.
///
/// Each is a published regular expression, written out as a scanner over Unicode scalars. `\p{L}`, `\p{N}` and
/// `\s` follow the standard library's Unicode tables (version 17 in Swift 6.3).
public enum PreTokenizer: Sendable, CaseIterable {
  /// SmolLM and SmolLM2: every `\p{N}` is a piece; what lies between is cut by GPT-2's expression,
  /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
  case smolLM
  /// Llama 3: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|`
  /// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`.
  case llama3
  /// Qwen 2, 2.5 and 3: as Llama 3, but `\p{N}` instead of `\p{N}{1,3}`.
  ///
  /// Qwen's own tokenizer brings text into normalization form C first; this one, like llama.cpp, does not.
  case qwen2

  /// The values of the key `tokenizer.ggml.pre` that name these rules; llama.cpp's names for them.
  static let names: [(name: String, rules: PreTokenizer)] = [
    ("smollm", .smolLM),
    ("llama-bpe", .llama3), ("llama3", .llama3), ("llama-v3", .llama3),
    ("qwen2", .qwen2), ("deepseek-r1-qwen", .qwen2),
  ]

  /// The rules of that name; throws, naming the known ones, where there are none.
  public init(name: String) throws(TokenizationError) {
    guard let match = Self.names.first(where: { $0.name == name }) else {
      throw .unsupportedPreTokenizer(found: name, allowed: Self.names.map(\.name))
    }
    self = match.rules
  }

  /// Whether a piece that is a token becomes that token, whatever the merges would make of it.
  ///
  /// Llama 3's `ignore_merges` in tokenizer.json.
  var takesWholePieces: Bool { self == .llama3 }

  /// Whether a text starts with the begin token where the file does not say.
  ///
  /// llama.cpp's rule for files of Llama 3 that were converted without the key.
  var addsBeginOfSequenceByDefault: Bool { self == .llama3 }

  /// The position after the piece that starts at `start`.
  ///
  /// Over a whole text this is linear: no scalar is looked at more than a few times.
  /// - Precondition: `start` lies within the text.
  func end(ofPieceAt start: Int, in text: ClassifiedText) -> Int {
    switch self {
    case .smolLM: text.gpt2PieceEnd(from: start)
    case .llama3: text.llama3PieceEnd(from: start, maximumDigits: 3)
    case .qwen2: text.llama3PieceEnd(from: start, maximumDigits: 1)
    }
  }
}

extension PreTokenizer {
  /// The pieces of a text, as ranges of its bytes.
  package func pieces(of bytes: [UInt8]) -> [Range<Int>] {
    let text = ClassifiedText(bytes)
    var (pieces, start) = ([Range<Int>](), 0)
    while start < text.count {
      let end = end(ofPieceAt: start, in: text)
      pieces.append(text.offsets[start]..<text.offsets[end])
      start = end
    }
    return pieces
  }
}
