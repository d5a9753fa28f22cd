import Models
import StreamingAttention

/// Logits of the same token, once from the steps that are timed and once from steps that are cut otherwise.
///
/// A model's answer over synthetic keys is known to nobody; but two ways of cutting go through different kernels and must
/// agree up to rounding, which is how a model's runs check themselves. Where nothing is quantised one of them is a token at a
/// time; codes are met by integers in steps of few rows and in f32 in steps of many, so there both have few rows or both have many.
enum LogitComparison {
  /// Tokens that both ways read before they are compared.
  static let tokens = 4

  /// The end of a step that begins with the token `start` of `count` behind `depth` others, and whose last row has what single
  /// tokens would give it.
  ///
  /// `mostInCodes` is nil where nothing is quantised. Otherwise that many tokens at most meet codes as a single one does, and the step
  /// ends with a token that opens a page: pages are quantised when a step ends.
  static func stepEnd(from start: Int, count: Int, depth: Int, mostInCodes: Int?) -> Int {
    guard let mostInCodes else { return count }
    let end = min(start + max(mostInCodes, 1), count)
    let opening = (start..<end).first { (depth + $0).isMultiple(of: PageLayout.slots) }
    return opening.map { $0 + 1 } ?? end
  }

  /// Tokens of a prompt of `rows` that are read by themselves too: one by one, or in one step that meets codes as all of them do.
  ///
  /// Between products in integers and in f32 lie roundings that a model whose activations have 8 bits makes much of.
  static func tokens(ofPrompt rows: Int, mostInCodes: Int?) -> Int {
    guard let mostInCodes, rows > mostInCodes else { return min(rows, tokens) }
    return mostInCodes + 1
  }

  /// Whether there is a second way to read the `compared` tokens of a step of `rows`.
  ///
  /// Where there are codes, a step of so few rows, or of a group of heads so large, may have none. Such a run checks nothing, and its
  /// record says so by leaving `selfCheck` out.
  static func hasOtherWay(rows: Int, compared: Int, mostInCodes: Int?) -> Bool {
    guard let mostInCodes else { return true }
    return rows == 1 ? mostInCodes > 1 : compared < rows
  }

  /// Whether both ways cut every sequence into leaves of one size, so that all sums have one order and the logits the same bits
  /// (Documentation/Attention.md, "Order of summation").
  ///
  /// The size follows from the number of entries that are live when a step has reserved its own. A window's entries may be
  /// fewer than all: there leaves are of one size for sure where even all have the smaller one. Codes are left out: what
  /// the newest pages hold while a step runs depends on its rows.
  ///
  /// - Parameters:
  ///   - depth: Tokens before the first one.
  ///   - longest: Tokens that the longer of the two ways has read when it has ended.
  ///   - window: Whether there is a layer that keeps a window.
  ///   - hasCodes: Whether keys or values are quantised.
  /// - Returns: Whether any difference is an error.
  static func mustBeEqual(depth: Int, longest: Int, window: Bool, hasCodes: Bool) -> Bool {
    func leaf(_ tokens: Int) -> Int {
      SummationOrder.leafEntries(
        liveEntries: (tokens + PageLayout.slots - 1) / PageLayout.slots)
    }
    if hasCodes { return false }
    return leaf(window ? 1 : depth + 1) == leaf(depth + longest)
  }

  /// ‖a − b‖ ÷ ‖b‖; infinite where a number is not finite.
  static func difference(_ a: [Float], _ b: [Float]) -> Double {
    guard a.count == b.count, !a.isEmpty else { return .infinity }
    var (differences, squares) = (0.0, 0.0)
    for index in a.indices {
      let (x, y) = (Double(a[index]), Double(b[index]))
      differences += (x - y) * (x - y)
      squares += y * y
    }
    let difference = (differences / squares).squareRoot()
    return difference.isFinite ? difference : .infinity
  }

  /// The largest difference that rounding explains where sums are taken in another order, as they are if one of the two ways grows
  /// the leaves of a sequence earlier than the other (Documentation/Attention.md); elsewhere the two have the same bits, and the
  /// difference is 0.
  ///
  /// Each layer rounds what it reads and writes twice (attention and feed-forward) to the narrowest type's u: as
  /// independent errors these add up to u·√(2·layers) of the stream. They are let grow twofold on the way, through
  /// normalisations and the softmax. A rounding that goes the other way moves queries and probabilities that meet codes of int4 by
  /// 3 ÷ 127 at most (`PlainCheck`), those that meet int8 by less than f16.
  static func tolerance(layers: Int, narrowest: ElementType) -> Double {
    let unit =
      switch narrowest {
      case .float32: 0x1p-24
      case .float16, .int8: 0x1p-11
      case .bfloat16: 0x1p-8
      case .int4: 3.0 / 127
      }
    return 2 * unit * Double(2 * layers).squareRoot()
  }
}
