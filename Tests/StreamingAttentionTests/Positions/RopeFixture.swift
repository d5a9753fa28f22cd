import StreamingAttention
import TestSupport
import Testing

/// rope.json: what Transformers' own functions give in double precision.
struct RopeFixture: Decodable {
  let cases: [Case]

  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let headDimension: Int
    let longestContext: Int
    let style: String
    let rope: Rope
    let frequencies: [Frequencies]
    let q: [Double]
    let k: [Double]
    let rotated: [Rotated]
    let rotatedLength: Int?

    enum CodingKeys: String, CodingKey {
      case name, style, rope, q, k, rotated
      case headDimension = "head_dim"
      case longestContext = "max_position_embeddings"
      case frequencies = "inv_freq"
      case rotatedLength = "rotated_with_seq_len"
    }

    var testDescription: String { name }
  }

  struct Frequencies: Decodable, Sendable {
    let length: Int?
    let attentionFactor: Double
    let f64: [Double]

    enum CodingKeys: String, CodingKey {
      case length = "seq_len"
      case attentionFactor = "attention_factor"
      case f64
    }
  }

  struct Rotated: Decodable, Sendable {
    let position: Int
    let q: [Double]
    let k: [Double]

    enum CodingKeys: String, CodingKey {
      case position = "pos"
      case q = "q_f64"
      case k = "k_f64"
    }
  }

  /// `rope_parameters` of Transformers.
  struct Rope: Decodable, Sendable {
    let type: String
    let theta: Double
    let factor: Double?
    let partial: Double?
    let originalContext: Int?
    let attentionFactor: Double?
    let betaFast: Double?
    let betaSlow: Double?
    let mscale: Double?
    let mscaleAllDimensions: Double?
    let truncate: Bool?
    let lowFrequencyFactor: Double?
    let highFrequencyFactor: Double?
    let shortFactor: [Double]?
    let longFactor: [Double]?

    enum CodingKeys: String, CodingKey {
      case type = "rope_type"
      case theta = "rope_theta"
      case factor
      case partial = "partial_rotary_factor"
      case originalContext = "original_max_position_embeddings"
      case attentionFactor = "attention_factor"
      case betaFast = "beta_fast"
      case betaSlow = "beta_slow"
      case mscale
      case mscaleAllDimensions = "mscale_all_dim"
      case truncate
      case lowFrequencyFactor = "low_freq_factor"
      case highFrequencyFactor = "high_freq_factor"
      case shortFactor = "short_factor"
      case longFactor = "long_factor"
    }
  }

  static func load() throws -> [Case] {
    try Fixtures.json("positions/rope.json", as: RopeFixture.self).cases
  }
}

extension RopeFixture.Case {
  struct UnknownType: Error { let type: String }

  /// The embedding of the case, read as Transformers reads `rope_parameters`.
  func embedding() throws -> RotaryEmbedding {
    let rotary = Int(Double(headDimension) * (rope.partial ?? 1))
    let scaling: RotaryScaling =
      switch rope.type {
      case "default": .none
      case "linear": .linear(factor: rope.factor ?? 1)
      case "dynamic":
        .dynamicNTK(factor: rope.factor ?? 1, originalContext: longestContext)
      case "yarn": .yarn(yarn)
      case "llama3":
        .llama3(
          Llama3Bands(
            factor: rope.factor ?? 8, lowFrequencyFactor: rope.lowFrequencyFactor ?? 1,
            highFrequencyFactor: rope.highFrequencyFactor ?? 4,
            originalContext: rope.originalContext ?? 8192))
      case "longrope":
        .longRoPE(
          LongRoPE(
            shortDivisors: rope.shortFactor ?? [], longDivisors: rope.longFactor ?? [],
            originalContext: rope.originalContext ?? longestContext,
            factor: rope.factor
              ?? Double(longestContext) / Double(rope.originalContext ?? longestContext)))
      case "proportional": .proportional(factor: rope.factor ?? 1)
      default: throw UnknownType(type: rope.type)
      }
    return try RotaryEmbedding(
      headDimension: headDimension, rotaryDimensions: rotary, base: rope.theta,
      pairing: style == "half" ? .halves : .interleaved, scaling: scaling)
  }

  private var yarn: YaRN {
    let temperature: YaRN.Temperature =
      if let given = rope.attentionFactor {
        .given(given)
      } else if let rotary = rope.mscale, let all = rope.mscaleAllDimensions {
        .mscale(rotary, allDimensions: all)
      } else {
        .recommended
      }
    return YaRN(
      factor: rope.factor ?? 1, originalContext: rope.originalContext ?? longestContext,
      betaFast: rope.betaFast ?? 32, betaSlow: rope.betaSlow ?? 1,
      ramp: rope.truncate == false ? .exact : .truncated, temperature: temperature)
  }
}
