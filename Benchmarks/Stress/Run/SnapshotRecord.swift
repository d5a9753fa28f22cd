import StreamingAttention

/// What a snapshot of a run holds beside the cache: the naive twin, and what the next steps answer.
struct SnapshotRecord: Equatable {
  /// Counts the snapshots of a history from 1.
  var number: Int
  /// Tokens handed out so far.
  var tokenCount: UInt32
  var lists: [TokenList]
  /// Checksums of what each sequence answers next.
  var answers: [UInt64]

  init(number: Int, tokenCount: UInt32, lists: [TokenList], answers: [UInt64]) {
    (self.number, self.tokenCount, self.lists, self.answers) = (number, tokenCount, lists, answers)
  }

  /// What a token may be besides; one byte for both.
  private static let (evicted, pinned): (UInt8, UInt8) = (1, 2)

  /// Nil for anything but what `bytes` gave.
  init?(_ bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    do throws(ByteReader.Defect) {
      number = try reader.number("the number", in: 1...Int.max)
      tokenCount = try reader.integer()
      (lists, answers) = ([], [])
      for _ in 0..<(try reader.count("sequences", ofBytes: 40)) {
        answers.append(try reader.integer())
        let base = try reader.number("the base", in: 0...Int(Int32.max))
        let seam = try reader.number("the seam", in: 0...Int(Int32.max))
        let sinks = try reader.number("the sinks", in: 0...Int(Int32.max))
        var tokens: [UInt32] = []
        for _ in 0..<(try reader.count("tokens", ofBytes: 6)) {
          tokens.append(try reader.integer())
        }
        var (rewrites, states): ([UInt8], [UInt8]) = ([], [])
        for _ in tokens { rewrites.append(try reader.integer()) }
        for _ in tokens { states.append(try reader.integer()) }
        guard states.allSatisfy({ $0 <= Self.evicted | Self.pinned }) else { return nil }
        lists.append(
          TokenList(
            base: base, seam: seam, sinkCount: sinks, tokens: tokens, rewrites: rewrites,
            areEvicted: states.map { $0 & Self.evicted != 0 },
            arePinned: states.map { $0 & Self.pinned != 0 }))
      }
      guard reader.isAtEnd else { return nil }
    } catch {
      return nil
    }
  }

  var bytes: [UInt8] {
    var writer = ByteWriter()
    writer.append(number: number)
    writer.append(tokenCount)
    writer.append(UInt64(lists.count))
    for (list, answer) in zip(lists, answers) {
      writer.append(answer)
      writer.append(number: list.base)
      writer.append(number: list.seam)
      writer.append(number: list.sinkCount)
      writer.append(UInt64(list.count))
      for token in list.tokens { writer.append(token) }
      writer.append(bytes: list.rewrites)
      writer.append(
        bytes: list.tokens.indices.map {
          (list.areEvicted[$0] ? Self.evicted : 0) | (list.arePinned[$0] ? Self.pinned : 0)
        })
    }
    return writer.bytes
  }
}
