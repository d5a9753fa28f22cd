import Benchmarking
import StreamingAttention

/// A query that asks for one token: its answer is known without reading anything else.
///
/// The query points where the token's key does once both are turned by their positions, and is so long that their score
/// is ``score``. Every other key is random beside it: of d channels, it scores with deviation score ÷ √d, 3 where d is
/// 128, so that all of 262,144 weigh 1e-6 of the token. Then the output is the token's value, and the log-sum-exp is
/// the score, which a position that is off by one changes by half and more. Where others weigh too much for that (few
/// channels, very long contexts) the answer is not clear, and the whole oracle decides.
struct AskedToken {
  static let score = 36.0

  /// What one answer says.
  enum Verdict: Equatable {
    /// Output and log-sum-exp are the token's.
    case right
    /// They are not, but other keys may be the reason.
    case unclear
  }

  let index: Int
  /// `[channel]`, not turned.
  let query: [Float]
  private let value: [Double]
  private let logSumExp: Double
  private let scoreError: Double
  private let valueError: Double

  /// Asks for the token at `index` from the newest position of `list`; `stored` is what a quantised cache holds of it.
  init(
    _ index: Int, of list: TokenList, rows: TokenRows, layer: Int, queryHead: Int,
    attention: LayerAttention, types: StoredTypes, stored: StoredTokens.Token? = nil
  ) {
    self.index = index
    let kvHead = queryHead / (attention.queryHeads / rows.shape.kvHeads)
    let token = list.tokens[index]
    let key = rows.key(layer: layer, kvHead: kvHead, token: token)
    let distance = list.count - 1 - index
    let turned = attention.rotary?.turned(key, by: -distance) ?? key
    let square = key.reduce(0) { $0 + $1 * $1 }
    let scale = 1 / Double(key.count).squareRoot()
    query = turned.map { Float($0 * Self.score / (scale * square)) }
    let bias = attention.alibi.map { Double($0.slopes[queryHead]) * Double(distance) } ?? 0
    let (units, rewrites) = (RoundingUnits(types), list.rewrites[index])
    if let stored {
      let newest = list.position(of: list.count - 1)
      let own = attention.rotary?.turned(stored.key, by: stored.anchor - newest) ?? stored.key
      var (score, longest) = (0.0, 0.0)
      for (channel, number) in query.enumerated() {
        score += scale * Double(number) * own[channel]
        longest = max(longest, scale * Double(number.magnitude))
      }
      (logSumExp, value) = (score - bias, stored.value)
      let integers = units.integerError(
        // A pair that turns has a channel no longer than √2 times its larger one.
        longest: longest * 2.0.squareRoot(), width: key.count, keyScale: stored.keyScale)
      scoreError =
        Self.score * units.storedScore + 4 * Rounding.f32 * (Self.score + bias) + 5 * integers
      valueError = Self.mixture + units.valueRounding
      return
    }
    value = rows.value(layer: layer, kvHead: kvHead, token: token).map(types.value.stored)
    logSumExp = Self.score - bias
    // Query and key point the same way, so Σ|q·k| is at most their score (Cauchy). Errors of codes are independent: five
    // times their root mean square, and as far as a code can be off at most (√12 ÷ 2 times it) for a single channel.
    scoreError =
      Self.score * units.score(rewrites: rewrites) + 4 * Rounding.f32 * (Self.score + bias)
      + 5 * Self.score * units.codeError(units.keyCode, rewrites: rewrites) / square.squareRoot()
    valueError = Self.mixture + 2 * units.codeError(units.valueCode, rewrites: rewrites)
  }

  /// How far back a query head can see a token well: a bias of 8 leaves it e^28, and behind the window it sees none.
  static func reach(of list: TokenList, queryHead: Int, attention: LayerAttention) -> Int {
    let seen = min(list.count, attention.window ?? .max)
    guard let slope = attention.alibi?.slopes[queryHead], slope > 0 else { return seen }
    return min(seen, Int(8 / slope) + 1)
  }

  /// Looks at what came back for the query.
  func verdict(output: ArraySlice<Float>, logSumExp received: Float) -> Verdict {
    let difference = Double(received) - logSumExp
    guard difference >= -scoreError, difference <= scoreError + Self.others else { return .unclear }
    for (channel, number) in zip(value, output)
    where !((Double(number) - channel).magnitude <= valueError) {
      return .unclear
    }
    return .right
  }

  /// What all others may add to the log-sum-exp.
  private static let others = 2e-3
  /// Others of that weight move a channel by less; two values differ by 1.4 on average.
  private static let mixture = 0.02
}
