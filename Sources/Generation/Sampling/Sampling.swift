/// How the next token is chosen from a model's logits.
///
/// The steps, in this order:
/// 1. *repetition penalty* r: the logit l of a token seen before becomes l ÷ r where l > 0, else l · r (Keskar et al.
///    2019, arXiv:1909.05858, §4.1, with the rule for negative logits of Hugging Face's transformers);
/// 2. *top k*: the k largest logits stay (Fan et al. 2018, arXiv:1805.04833, §5.4);
/// 3. *top p*: of what stays, the fewest tokens whose probabilities add up to p (Holtzman et al. 2020,
///    arXiv:1904.09751, §3.1);
/// 4. *min p*: of these, the ones with at least p times the best one's probability (Nguyen et al. 2024,
///    arXiv:2407.01082, §3);
/// 5. *temperature* T: probabilities are proportional to e^(l/T) among them.
///
/// This is the order of llama.cpp's sampler chain. The filters see the model's own probabilities, so a higher
/// temperature spreads the choice over good tokens without letting bad ones back in; transformers applies the
/// temperature before top k, which changes what top p and min p keep. Of equal logits the lower token id comes
/// first everywhere.
public struct Sampling: Sendable, Equatable {
  /// Always the token with the largest logit.
  public static let greedy = Sampling()

  /// How far the choice spreads: 0 takes the largest logit, 1 the model's own probabilities.
  public let temperature: Double
  /// How many of the largest logits stay; 0 keeps all.
  public let topK: Int
  /// The probability that the tokens that stay have together; 1 keeps all.
  public let topP: Double
  /// The least probability, as a share of the best token's; 0 keeps all.
  public let minP: Double
  /// What divides the logits of tokens seen before; 1 changes none.
  public let repetitionPenalty: Double
  /// The number from which all random choices follow.
  public let seed: UInt64

  private init() {
    (temperature, topK, topP, minP, repetitionPenalty, seed) = (0, 0, 1, 0, 1, 0)
  }

  /// Checks the options; throws where one is outside its range.
  public init(
    temperature: Double = 1, topK: Int = 0, topP: Double = 1, minP: Double = 0,
    repetitionPenalty: Double = 1, seed: UInt64 = 0
  ) throws(SamplingError) {
    guard temperature >= 0, temperature.isFinite else {
      throw .optionOutOfRange(
        option: "temperature", found: "\(temperature)", allowed: "0 (greedy) or a number above it")
    }
    guard topK >= 0 else {
      throw .optionOutOfRange(option: "top k", found: "\(topK)", allowed: "0 (off) or more")
    }
    guard topP > 0, topP <= 1 else {
      throw .optionOutOfRange(option: "top p", found: "\(topP)", allowed: "above 0, up to 1 (off)")
    }
    guard minP >= 0, minP <= 1 else {
      throw .optionOutOfRange(option: "min p", found: "\(minP)", allowed: "0 (off) to 1")
    }
    guard Self.penalties.contains(repetitionPenalty) else {
      throw .optionOutOfRange(
        option: "repetition penalty", found: "\(repetitionPenalty)",
        allowed: "\(Self.penalties.lowerBound) to \(Self.penalties.upperBound); 1 is off")
    }
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repetitionPenalty = repetitionPenalty
    self.seed = seed
  }

  /// Bounds that keep every penalised logit finite.
  private static let penalties = 0.01...100
}
