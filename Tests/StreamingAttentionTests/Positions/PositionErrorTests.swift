import StreamingAttention
import Testing

@Suite("Errors of positions")
struct PositionErrorTests {
  @Test("parameters outside of their range are refused with what was received")
  func parameters() {
    func error(
      _ head: Int, _ rotary: Int? = nil, base: Double = 10_000, scaling: RotaryScaling = .none,
      divisors: [Double]? = nil
    ) -> PositionError? {
      do throws(PositionError) {
        _ = try RotaryEmbedding(
          headDimension: head, rotaryDimensions: rotary, base: base, pairing: .halves,
          scaling: scaling, divisors: divisors)
        return nil
      } catch {
        return error
      }
    }
    #expect(
      error(59)
        == .outOfRange(parameter: "rotary dimensions", received: 59, allowed: "even"))
    #expect(error(59, 58) == nil)
    #expect(
      error(64, 66)
        == .outOfRange(parameter: "rotary dimensions", received: 66, allowed: "2…64"))
    #expect(error(0) != nil)
    for width in [65_537, 1 << 26, .max] {
      #expect(
        error(width)
          == .outOfRange(
            parameter: "head dimension", received: Double(width), allowed: "2…65536"))
    }
    #expect(error(65_536, 2) == nil)
    #expect(
      error(64, base: 1)
        == .outOfRange(parameter: "RoPE base", received: 1, allowed: "a finite number > 1.0"))
    #expect(error(64, base: .nan) != nil)
    #expect(error(64, scaling: .linear(factor: 0)) != nil)
    #expect(error(64, scaling: .ntkAware(factor: -1)) != nil)
    #expect(error(64, scaling: .dynamicNTK(factor: 2, originalContext: 0)) != nil)
    #expect(error(64, scaling: .yarn(YaRN(factor: .infinity, originalContext: 8192))) != nil)
    #expect(
      error(64, scaling: .yarn(YaRN(factor: 4, originalContext: 8192, betaFast: 1, betaSlow: 2)))
        != nil)
    #expect(
      error(64, scaling: .llama3(Llama3Bands(lowFrequencyFactor: 4, highFrequencyFactor: 4))) != nil
    )
    #expect(error(59, 58, scaling: .proportional(factor: 1)) != nil)
    #expect(
      error(8, divisors: [1, 2, 3])
        == .wrongCount(list: "RoPE divisors", received: 3, allowed: 4))
    #expect(error(8, divisors: [1, 2, 3, 0]) != nil)
    #expect(error(8, divisors: [1e-9, 1, 1, 1]) != nil)
    #expect(
      error(
        8,
        scaling: .longRoPE(
          LongRoPE(
            shortDivisors: [1, 1, 1, 1], longDivisors: [1], originalContext: 8, attentionFactor: 1)
        ))
        == .wrongCount(list: "LongRoPE long divisors", received: 1, allowed: 4))
  }

  @Test("descriptions are one line that names what was received and what is allowed")
  func descriptions() {
    #expect(
      PositionError.beyondTable(position: 2048, rows: 2048).description
        == "position 2048 has no row in the learned table, which has 2048 (positions 0..<2048); use a shorter text"
    )
    #expect(
      PositionError.outOfRange(parameter: "RoPE base", received: 0.5, allowed: "> 1").description
        == "RoPE base is 0.5, allowed is > 1")
    #expect(
      PositionError.wrongCount(list: "RoPE divisors", received: 3, allowed: 4).description
        == "RoPE divisors holds 3 values, 4 are needed")
  }
}
