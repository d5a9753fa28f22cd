import StreamingAttention
import TestSupport
import Testing

@testable import Benchmarking

@Suite("What a job reads and computes")
struct WorkTests {
  private let shape = AttentionShape(queryHeads: 4, kvHeads: 2, headDimension: 8)

  private func work(
    _ key: ElementType, _ value: ElementType, _ context: ContextMix, rows: Int = 1
  ) -> AttentionWork {
    AttentionWork(
      shape: shape, types: StoredTypes(key: key, value: value), context: context, rows: rows)
  }

  @Test("bytes are those of keys and values of all live tokens")
  func bytes() throws {
    #expect(work(.float32, .float16, ContextMix(100)).bytes == 100 * 2 * 8 * (4 + 2))
    let mix = try #require(ContextMix("3*10+100"))
    #expect(work(.bfloat16, .bfloat16, mix).bytes == 130 * 2 * 8 * 4)
  }

  @Test("operations are counted over the keys that each row sees", arguments: [1, 2, 7, 50])
  func operations(rows: Int) {
    var expected = 0.0
    for row in 0..<rows {
      // Row r of n over 50 tokens sees all but the n − r − 1 newest; a product and a sum for q·k and for p·v each.
      expected += Double(50 - (rows - row - 1)) * 4 * 8 * 4
    }
    #expect(work(.float16, .float16, ContextMix(50), rows: rows).operations == expected)
  }

  @Test("keys and values each have the peak of their type")
  func peaks() {
    let sample = LimitSample(
      read: 30, multiplyAdd: 300, multiplyAddOfOne: 150, bfloatDot: 600, byteDot: 1_500)
    let limits = MeasuredLimits(before: sample, after: sample)
    // Rounding of three divisions.
    let tolerance = 300 * 4 * Double.ulpOfOne
    let one = ContextMix(64)
    #expect(abs(work(.float16, .float32, one).peak(limits) - 300) <= tolerance)
    #expect(abs(work(.bfloat16, .bfloat16, one).peak(limits) - 600) <= tolerance)
    // Half of the operations at 300 and half at 600 take as long as all at 400.
    #expect(abs(work(.float16, .bfloat16, one).peak(limits) - 400) <= tolerance)
    #expect(abs(work(.int4, .int4, one).peak(limits) - 1_500) <= 5 * tolerance)
    #expect(abs(work(.int8, .int8, one).peak(limits) - 750) <= 5 * tolerance)
    // Where there are no dots, or slow ones, bf16 is widened.
    for dots in [nil, 100] as [Double?] {
      var other = sample
      other.bfloatDot = dots
      let widened = MeasuredLimits(before: other, after: other)
      #expect(abs(work(.bfloat16, .bfloat16, one).peak(widened) - 300) <= tolerance)
    }
  }

  @Test(
    "layers exceed eight times the cache, are two at least, and fit into memory",
    arguments: [
      // layer, cache, available, layers, in cache
      (100, 50, 1 << 20, 5, false), (400, 50, 1 << 20, 2, false), (401, 50, 1 << 20, 2, false),
      (100, 50, 450, 4, true), (1_000, 50, 1_500, 1, false), (1, 50, 1 << 20, 401, false),
      (1, 1 << 20, 1 << 30, 1_024, true), (100, 50, 0, 1, true),
    ])
  func cycle(layer: Int, cache: Int, available: Int, layers: Int, isInCache: Bool) {
    let plan = CyclePlan(layerBytes: layer, cacheBytes: cache, availableBytes: available)
    #expect(plan.layers == layers)
    #expect(plan.isInCache == isInCache)
  }
}
