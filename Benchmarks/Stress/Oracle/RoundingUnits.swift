import Benchmarking
import StreamingAttention

/// How far the numbers of a step may be from the real ones, relative to their size.
struct RoundingUnits: Sendable {
  /// A stored key's channel; once more for each time that it may have been turned and rounded again.
  let key: Double
  /// A query's channel where it meets stored keys.
  let query: Double
  /// A probability where it meets stored values.
  let probability: Double
  /// A channel of a quantised key or value, root mean square; once more for each time that it may have been quantised again.
  let keyCode: Double
  let valueCode: Double

  /// A number where it is rounded to be written, quantised or not.
  let plain: Double
  /// Largest steps of codes; 0 for plain numbers.
  let keyStep: Double
  let valueStep: Double
  /// The largest code of a key, and the largest integer that stands for a query which meets codes.
  private let largestCode: Double
  private let queryTop: Double
  /// How far a value may be off for a probability of about 1 that meets it as an integer.
  let valueRounding: Double

  /// f32 in a score: 16 roundings of a prepared query's channel, one of the caller's, two of the score, three of a
  /// key turned once more, the exponential (of probabilities in bf16 their own unit holds its error) and its rescalings.
  static let score = 64 * Rounding.f32
  /// A leaf's sums of 2,048 slots are off by about √2,048 · 2⁻²⁴: four times that.
  static let sum = 4 * 2_048.0.squareRoot() * Rounding.f32

  init(_ types: StoredTypes) {
    key = Self.unit(types.key)
    query = types.key == .bfloat16 ? Rounding.bf16 : 0
    // Probabilities that meet codes are integers up to 127 or more for the largest of a page: 64 of them are off by
    // √64 · 0.29 of one together.
    probability =
      switch types.value {
      case .float32, .float16: 0
      case .bfloat16: Rounding.bf16
      case .int8: 8 * 0.29 / 32_639
      case .int4: 8 * 0.29 / 127
      }
    // A pair that turns is up to √2 times as long as a number.
    keyCode = Self.codeError(types.key, largest: SyntheticValues.largest * 2.0.squareRoot())
    valueCode = Self.codeError(types.value, largest: SyntheticValues.largest)
    plain = Self.unit(types.key)
    keyStep = Self.step(types.key, largest: SyntheticValues.largest * 2.0.squareRoot())
    valueStep = Self.step(types.value, largest: SyntheticValues.largest)
    (largestCode, queryTop) = types.key == .int4 ? (15, 127) : (255, 32_639)
    valueRounding =
      types.value.isQuantized
      ? SyntheticValues.largest * 2 * 0.5 / (types.value == .int4 ? 127 : 32_639) : 0
  }

  private static func step(_ type: ElementType, largest: Double) -> Double {
    // Scales are rounded up to 11 bits.
    type.isQuantized ? 2 * largest / (type == .int4 ? 15 : 255) * (1 + 0x1p-9) : 0
  }

  /// How far a score with a key in codes may be off, root mean square: the query's products with their scales are rounded to a
  /// multiple of the largest ÷ `queryTop`, and each meets a code; `longest` is that of the query's pairs.
  func integerError(longest: Double, width: Int, keyScale: Double) -> Double {
    longest * keyScale * largestCode * Double(width).squareRoot()
      / (2 * 3.0.squareRoot() * queryTop)
  }

  /// A code is off by a step over √12, and so is what meets it in integers of 8 bits: together no more than over 3.
  private static func codeError(_ type: ElementType, largest: Double) -> Double {
    switch type {
    case .float32, .float16, .bfloat16: 0
    case .int8: 2 * largest / 255 / 3
    case .int4: 2 * largest / 15 / 3
    }
  }

  private static func unit(_ type: ElementType) -> Double {
    switch type {
    case .float32: Rounding.f32
    case .float16, .int8, .int4: 0x1p-11
    case .bfloat16: Rounding.bf16
    }
  }

  /// What quantised channels are off by, once or again, root mean square.
  func codeError(_ unit: Double, rewrites: UInt8) -> Double { unit * Double(1 + Int(rewrites)) }

  /// Of a score with a key that is read as it is stored, relative to Σ|query channel · key channel|; sums of codes are up to four
  /// times as large as their result.
  var storedScore: Double { query + 4 * Self.score }

  /// Of a score, relative to Σ|query channel · key channel|.
  func score(rewrites: UInt8) -> Double {
    key * Double(1 + Int(rewrites)) + query + Self.score
  }
}
