import StreamingAttention
import TestSupport
import Testing

/// alibi.json: slopes as BLOOM's and MPT's code in Transformers gives them.
private struct ALiBiFixture: Decodable {
  let slopes: [Slopes]
  let mpt_bias_max: [Scaled]

  struct Slopes: Decodable {
    let heads: Int
    let bloom: [Double]
    let mpt: [Double]
  }
  struct Scaled: Decodable {
    let heads: Int
    let alibi_bias_max: Double
    let slopes: [Double]
  }
}

@Suite("ALiBi")
struct ALiBiTests {
  @Test("slopes are those of BLOOM and MPT for every head count and bias in the file")
  func slopes() throws {
    let fixture: ALiBiFixture = try Fixtures.json("positions/alibi.json")
    #expect(fixture.slopes.count == 64)
    for reference in fixture.slopes {
      let slopes = try ALiBi(headCount: reference.heads).slopes
      for expected in [reference.bloom, reference.mpt] {
        try #require(slopes.count == expected.count)
        for (slope, value) in zip(slopes, expected) {
          // The references are f32 powers of an f32 base: up to 64 half-ulps of the exponent's growth; 9 digits in the file.
          #expect(abs(Double(slope) - value) <= 4e-6 * value)
        }
      }
    }
    for reference in fixture.mpt_bias_max {
      let slopes = try ALiBi(
        headCount: reference.heads, maximumBias: reference.alibi_bias_max
      ).slopes
      for (slope, value) in zip(slopes, reference.slopes) {
        #expect(abs(Double(slope) - value) <= 4e-6 * value)
      }
    }
  }

  @Test("eight heads have the paper's slopes exactly, twelve add every other one of sixteen")
  func paper() throws {
    let eight = (1...8).map { Float(sign: .plus, exponent: -$0, significand: 1) }
    #expect(try ALiBi(headCount: 8).slopes == eight)
    let twelve = try ALiBi(headCount: 12).slopes
    #expect(Array(twelve[..<8]) == eight)
    let sixteen = try ALiBi(headCount: 16).slopes
    #expect(Array(twelve[8...]) == [0, 2, 4, 6].map { sixteen[$0] })
  }

  @Test("no heads, no bias and negative slopes are refused")
  func errors() {
    #expect(throws: PositionError.self) { try ALiBi(headCount: 0) }
    #expect(throws: PositionError.self) { try ALiBi(headCount: 8, maximumBias: 0) }
    #expect(throws: PositionError.self) { try ALiBi(slopes: []) }
    #expect(
      throws: PositionError.outOfRange(
        parameter: "ALiBi slope", received: -0.5, allowed: "a finite number ≥ 0.0")
    ) { try ALiBi(slopes: [0.5, -0.5]) }
  }
}
