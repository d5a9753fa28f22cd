import Benchmarking
import StreamingAttention

/// What a quantised cache holds of a sequence's tokens in one layer and KV head, read back slot by slot.
///
/// Codes are too coarse for an answer to be compared with the numbers that were given: 4 bits hide a wrong page among some
/// thousand. So what is stored is compared with what was given, within the error that its page records, and answers with what is
/// stored, within rounding.
struct StoredTokens {
  /// One token.
  struct Token {
    /// `[channel]`, turned by its position less the anchor.
    var key: [Double] = []
    var value: [Double] = []
    var position = 0
    var anchor = 0
    /// How far the page is from what was written.
    var keyError = 0.0
    var valueError = 0.0
    /// The largest scale among those of its key's codes; 0 without any.
    var keyScale = 0.0
  }

  /// Live entries, oldest first.
  let entries: [LiveEntry]
  private let pages: StoredPages
  private let types: StoredTypes
  private let rotary: RotaryEmbedding?
  /// The caller's channel of each stored row; −1 for one that only fills a pair.
  private let channels: [Int]
  /// Channels of a key: no more than its stored rows.
  private let keyWidth: Int

  init(
    _ entries: [LiveEntry], of cache: KVCache, layer: Int, kvHead: Int, types: StoredTypes,
    rotary: RotaryEmbedding?
  ) {
    (self.entries, self.types, self.rotary) = (entries, types, rotary)
    pages = StoredPages(cache, layer: layer, kvHead: kvHead)
    channels = pages.channels(rotary)
    keyWidth = cache.layers[layer].keyWidth
  }

  /// Reads a token; false if no entry holds it.
  func read(_ index: Int, into token: inout Token) -> Bool {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].tokens.upperBound > index { high = middle } else { low = middle + 1 }
    }
    guard low < entries.count, entries[low].tokens.contains(index) else { return false }
    let entry = entries[low]
    let slot = entry.slots.lowerBound + index - entry.tokens.lowerBound
    var stored: [Double] = []
    pages.readKey(of: entry, slot: slot, into: &stored)
    token.key = [Double](repeating: 0, count: keyWidth)
    for (row, channel) in channels.enumerated() where channel >= 0 {
      token.key[channel] = stored[row]
    }
    pages.readValue(of: entry, slot: slot, into: &token.value)
    (token.position, token.anchor) = (entry.basePosition + slot, entry.anchor)
    (token.keyError, token.valueError) = pages.errors(of: entry)
    token.keyScale = pages.largestKeyScale(of: entry, slot: slot)
    return true
  }

  /// What is wrong with what is stored of a token, whose key and value were these; nil if nothing is.
  ///
  /// A key was turned in f32 and rounded to 11 bits when it was written, and a value rounded; both once more each time that
  /// their page was written again. Codes are off by half a step of each channel, again each time, and the page says by how much.
  func defect(
    _ token: Token, _ index: Int, of list: TokenList, key: [Double], value: [Double]
  ) -> String? {
    guard token.position == list.position(of: index) else {
      return "token \(index) is stored at position \(token.position)"
    }
    let turned = rotary?.turned(key, by: token.position - token.anchor) ?? key
    let width = Double(key.count).squareRoot()
    let units = RoundingUnits(types)
    func slack(_ row: [Double]) -> Double {
      Double(2 + Int(list.rewrites[index]))
        * ((units.plain + 8 * Rounding.f32) * Self.norm(row) + width * 0x1p-24)
    }
    let most = Double(list.mostRewrites(around: index, 64) + 4) * width
    for (what, stored, given, error, step) in [
      ("key", token.key, turned, token.keyError, units.keyStep),
      ("value", token.value, value, token.valueError, units.valueStep),
    ] {
      guard error <= most * step / 2 else {
        return
          "the page of token \(index) records an error of \(DecimalText.short(error)) in its \(what)s"
      }
      var square = 0.0
      for (channel, number) in stored.enumerated() {
        square += (number - given[channel]) * (number - given[channel])
      }
      let allowed = error * (1 + 0x1p-20) + slack(given)
      guard square.squareRoot() <= allowed else {
        return "the \(what) of token \(index) is stored "
          + "\(DecimalText.short(square.squareRoot() / allowed)) times as far off as its page records"
      }
    }
    return nil
  }

  private static func norm(_ row: [Double]) -> Double {
    row.reduce(0) { $0 + $1 * $1 }.squareRoot()
  }
}
