import CKernelShim
import Foundation
import TestSupport
import Testing

@Suite("The kernels' arithmetic")
struct ShimTests {
  @Test("2^x is within 1e-7 of the system's for every exponent that it takes")
  func exponential() {
    var generator = SeededGenerator(seed: 3)
    var worst = 0.0
    for _ in 0..<4000 {
      let x = generator.uniformFloats(16, from: -125.5, to: 126)
      let y = attention_exp2(SIMD16<Float>(x))
      for lane in 0..<16 {
        let exact = exp2(Double(x[lane]))
        worst = max(worst, (Double(y[lane]) - exact).magnitude / exact)
      }
    }
    #expect(worst < 1e-7)
    let edges: [Float] = [
      0, -0.0, -1, -126, -200, -1e30, -.infinity, .nan, 0.5, -0.5, 1, -149, -150, -127, -126.5,
      -3e38,
    ]
    let y = attention_exp2(SIMD16<Float>(edges))
    #expect(y[0] == 1 && y[1] == 1 && y[2] == 0.5 && y[10] == 2)
    #expect(y[4] == 0 && y[5] == 0 && y[6] == 0 && y[15] == 0)
    #expect(y[7].isNaN)
    // Below 2^−126 a probability may vanish; it never grows.
    for lane in [3, 11, 12, 13, 14] { #expect(y[lane] >= 0 && y[lane] <= 0x1p-125) }
  }

  @Test("A question about sixteen lanes hears every one of them, also one that is NaN or infinite")
  func questions() {
    for lane in 0..<16 {
      for odd: Float in [5, .infinity, -.infinity, .nan] {
        var v = SIMD16<Float>(repeating: 1)
        v[lane] = odd
        #expect((attention_any_above(v, 4) != 0) == (odd > 4), "\(odd) in lane \(lane)")
        #expect((attention_all_below(v, 4) != 0) == (odd < 4), "\(odd) in lane \(lane)")
        #expect((attention_all_within(v, 0, 5) != 0) == (odd == 5), "\(odd) in lane \(lane)")
        #expect((attention_any_unordered(v) != 0) == odd.isNaN, "\(odd) in lane \(lane)")
      }
    }
    let ones = SIMD16<Float>(repeating: 1)
    #expect(attention_any_above(ones, 1) == 0 && attention_all_below(ones, 1) == 0)
    #expect(attention_all_within(ones, 1, 2) == 0 && attention_all_within(ones, 0, 1) != 0)
  }

  @Test("bf16 rounds to nearest even and keeps NaN")
  func bfloat() {
    var generator = SeededGenerator(seed: 4)
    for _ in 0..<20_000 {
      let x = Float(bitPattern: UInt32(truncatingIfNeeded: generator.next()))
      let bits = attention_bfloat_bit(x)
      if x.isNaN {
        #expect(Float(bitPattern: UInt32(bits) << 16).isNaN)
      } else {
        #expect(bits == SlotTwin.bfloat16(x))
      }
    }
  }
}
