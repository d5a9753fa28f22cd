import Models
import StreamingAttention

/// Logits of the same token, once from steps of one token and once from a step of many.
///
/// A model's answer over synthetic keys is known to nobody; but the two ways go through different kernels and must
/// agree up to rounding, which is how a model's runs check themselves.
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

  /// The largest difference that rounding explains.
  ///
  /// Each layer rounds what it reads and writes twice (attention and feed-forward) to the narrowest type's u: as
  /// independent errors these add up to u·√(2·layers) of the stream. They are let grow twofold on the way, through
  /// normalisations and the softmax. Codes are the same for both; queries and probabilities that meet those of int4 are off by
  /// 3 ÷ 127 (`PlainCheck`), those that meet int8 by less than f16.
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
