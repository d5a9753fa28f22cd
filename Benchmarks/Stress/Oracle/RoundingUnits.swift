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

  /// f32 in a score: 16 roundings of a prepared query's channel, one of the caller's, two of the score, three of a
  /// key turned once more, the exponential and its rescalings.
  static let score = 64 * Rounding.f32
  /// A leaf's sums of 2,048 slots are off by about √2,048 · 2⁻²⁴: four times that.
  static let sum = 4 * 2_048.0.squareRoot() * Rounding.f32

  init(_ types: StoredTypes) {
    key = Self.unit(types.key)
    query = types.key == .bfloat16 ? Rounding.bf16 : 0
    probability = types.value == .bfloat16 ? Rounding.bf16 : 0
  }

  private static func unit(_ type: ElementType) -> Double {
    switch type {
    case .float32: Rounding.f32
    case .float16: 0x1p-11
    case .bfloat16: Rounding.bf16
    }
  }

  /// Of a score, relative to Σ|query channel · key channel|.
  func score(rewrites: UInt8) -> Double {
    key * Double(1 + Int(rewrites)) + query + Self.score
  }
}
