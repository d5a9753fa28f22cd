internal import StreamingAttention

/// What a session's snapshot holds beside the cache.
struct SessionState: Equatable {
  /// Tokens that the session could hold; 0 where a file of version 1 does not say.
  var maximumContext = 0
  /// Of the model.
  var fingerprint: UInt64
  var isConversation: Bool
  /// Of the sampler: its seed, and how far its random numbers have got.
  var seed: UInt64
  var randomState: UInt64
  /// Bytes of a character that is not whole yet.
  var heldBytes: [UInt8]
  var readCount: Int
  var tokens: [Int]

  private static let magic = "session"
  private static let version: UInt64 = 2

  init(
    maximumContext: Int, fingerprint: UInt64, isConversation: Bool, seed: UInt64,
    randomState: UInt64, heldBytes: [UInt8], readCount: Int, tokens: [Int]
  ) {
    (self.maximumContext, self.fingerprint) = (maximumContext, fingerprint)
    self.isConversation = isConversation
    (self.seed, self.randomState, self.heldBytes) = (seed, randomState, heldBytes)
    (self.readCount, self.tokens) = (readCount, tokens)
  }

  /// Nil unless the bytes are those of a session, with tokens below `vocabularySize`.
  init?(_ bytes: [UInt8], vocabularySize: Int) {
    var reader = ByteReader(bytes)
    do throws(ByteReader.Defect) {
      guard try reader.text() == Self.magic else { return nil }
      let version = try reader.integer(UInt64.self)
      guard (1...Self.version).contains(version) else { return nil }
      if version > 1 { maximumContext = try reader.number("the maximum context", in: 0...Int.max) }
      fingerprint = try reader.integer()
      isConversation = try reader.number("whether it is a conversation", in: 0...1) == 1
      seed = try reader.integer()
      randomState = try reader.integer()
      heldBytes = try reader.block()
      let count = try reader.count("tokens", ofBytes: 4)
      readCount = try reader.number("the number of tokens read", in: 0...count)
      tokens = []
      for _ in 0..<count { tokens.append(Int(try reader.integer(UInt32.self))) }
      guard reader.isAtEnd, heldBytes.count <= 3, tokens.allSatisfy({ $0 < vocabularySize })
      else { return nil }
    } catch {
      return nil
    }
  }

  var bytes: [UInt8] {
    var writer = ByteWriter()
    writer.append(text: Self.magic)
    writer.append(Self.version)
    writer.append(number: maximumContext)
    writer.append(fingerprint)
    writer.append(UInt64(isConversation ? 1 : 0))
    writer.append(seed)
    writer.append(randomState)
    writer.append(block: heldBytes)
    writer.append(UInt64(tokens.count))
    writer.append(number: readCount)
    for token in tokens { writer.append(UInt32(token)) }
    return writer.bytes
  }
}
