import Foundation
import StreamingAttention
import TestSupport
import Testing

@Suite("Turn rate")
struct TurnRateTests {
  /// Steps computed with 400 bits by a separate program (Machin's formula for π, integer division).
  @Test(
    "the step is θ ÷ 2π rounded to 2⁻⁶⁴ of a turn",
    arguments: [
      (1.0, 0x28BE60DB9391054A),
      (0.5, 0x145F306DC9C882A5),
      (0.7498942093324559, 0x1E8DAE29DB02BC12),
      (0.8146172338565447, 0x2130C415F3514ECF),
      (0.0001, 0x10B04870E0488),
      (6.28, 0xFFDEC6AA9EB7B371),
      (6.283185307179586, 0xFFFFFFFFFFFFFD31),
      (1e-09, 0xAEFE2247),
      (8.470329472543003e-22, 0x0),
      (1000.25, 0x31D9F1EF5360EC53),
    ] as [(Double, UInt64)])
  func step(frequency: Double, expected: UInt64) {
    #expect(TurnRate(radiansPerToken: frequency).step == expected)
  }

  /// Phase, cosine and sine from 400-bit arithmetic.
  @Test(
    "cosines and sines are exact far out and for negative distances",
    arguments: [
      (1.0, 262_143, -0.6091614905691977, 0.7930462019375122),
      (1.0, -262_143, -0.6091614905691977, -0.7930462019375122),
      (1.0, 1_048_576, 0.943808393901312, 0.3304931400217347),
      (1.0, 1_048_577, 0.23184146351624124, 0.9727535843134413),
      (1.0, -1, 0.5403023058681398, -0.8414709848078965),
      (0.7498942093324559, 262_143, -0.8017349271582963, -0.5976797692531355),
      (0.7498942093324559, -262_143, -0.8017349271582963, 0.5976797692531355),
      (0.7498942093324559, 1_048_576, 0.7510188029766577, -0.6602808172100022),
      (0.7498942093324559, 1_048_577, 0.9995881375007191, 0.028697654396198178),
      (0.7498942093324559, -1, 0.7317609757987247, -0.6815613503552693),
      (0.8146, 262_143, 0.21710342143399183, 0.976148607744566),
      (0.8146, -262_143, 0.21710342143399183, -0.976148607744566),
      (0.8146, 1_048_576, -0.725815486227666, 0.6878894387560378),
      (0.8146, 1_048_577, -0.9984311323547246, -0.055993516989581056),
      (0.8146, -1, 0.686159428818944, -0.7274511930314367),
      (0.0001, 262_143, 0.46995302162031394, 0.8826914282295579),
      (0.0001, -262_143, 0.46995302162031394, -0.8826914282295579),
      (0.0001, 1_048_576, -0.3762577388988665, -0.9265150370710193),
      (0.0001, 1_048_577, -0.3761650855140251, -0.9265526582122714),
      (0.0001, -1, 0.999999995, -9.999999983333334e-05),
      (2.5e-06, 262_143, 0.7928301029985676, 0.6094427190304932),
      (2.5e-06, -262_143, 0.7928301029985676, -0.6094427190304932),
      (2.5e-06, 1_048_576, -0.8677433190297592, 0.4970126077668629),
      (2.5e-06, 1_048_577, -0.8677445615585669, 0.49701043840701215),
      (2.5e-06, -1, 0.999999999996875, -2.499999999997396e-06),
      (6.1, 262_143, -0.0684728489684135, 0.997652980226165),
      (6.1, -262_143, -0.0684728489684135, -0.997652980226165),
      (6.1, 1_048_576, 0.8966574944279143, -0.4427249006846745),
      (6.1, 1_048_577, 0.8010071377516405, -0.5986547964151999),
      (6.1, -1, 0.9832684384425845, 0.18216250427209588),
    ] as [(Double, Int, Double, Double)])
  func far(frequency: Double, distance: Int, cosine: Double, sine: Double) {
    let turn = TurnRate(radiansPerToken: frequency).turn(by: distance)
    // Half a unit of the step times the distance, and a few roundings of the polynomial.
    let bound = 0.5 * 0x1p-64 * 2 * Double.pi * Double(abs(distance)) + 4 * 0x1p-53
    #expect(abs(turn.cosine - cosine) <= bound)
    #expect(abs(turn.sine - sine) <= bound)
  }

  @Test("near zero and through all eighths the polynomials agree with the C library")
  func eighths() {
    var generator = SeededGenerator(seed: 4)
    for _ in 0..<20_000 {
      let frequency = 7 * generator.uniform()
      let turn = TurnRate(radiansPerToken: frequency).turn(by: 1)
      // The C library is right to an ulp; here: 2π·r rounded twice (3 units of 2⁻⁵³), polynomial and sum (2).
      #expect(abs(turn.cosine - cos(frequency)) <= 6 * 0x1p-53)
      #expect(abs(turn.sine - sin(frequency)) <= 6 * 0x1p-53)
    }
    #expect(TurnRate(radiansPerToken: 0).turn(by: 262_143) == (1, 0))
    #expect(TurnRate(radiansPerToken: .leastNonzeroMagnitude).turn(by: 262_143) == (1, 0))
    #expect(TurnRate(radiansPerToken: 0.37).turn(by: 0) == (1, 0))
  }

  @Test("a prefill step's turns take little time")
  func speed() throws {
    let embedding = try RotaryEmbedding(headDimension: 128, base: 500_000, pairing: .halves)
    let distances = Array(262_144 - 512..<262_144)
    var turns = [Float](repeating: 0, count: 2 * 64 * 512)
    var best = Duration.seconds(1)
    for _ in 0..<20 {
      let start = ContinuousClock.now
      var span = turns.mutableSpan
      embedding.fillTurns(distances: distances.span, into: &span)
      best = min(best, .now - start)
    }
    // 32,768 pairs of some 40 operations: under a millisecond optimised. Without, only a hang is looked for.
    #if DEBUG
    #expect(best < .seconds(1))
    #else
    #expect(best < .milliseconds(4), "\(best)")
    #endif
  }
}
