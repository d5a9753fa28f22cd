/// What can be wrong with sampling options, with the tokens observed or with the logits to sample from.
public enum SamplingError: Error, Equatable {
  /// An option's value is outside its range.
  case optionOutOfRange(option: String, found: String, allowed: String)
  /// A token that was observed is not one of those that there are logits of.
  case tokenOutOfRange(received: Int, allowed: Range<Int>)
  /// There is not one logit for each token.
  case wrongLogitCount(found: Int, wanted: Int)
  /// A token's logit is not a number.
  case notANumber(token: Int)
  /// A token's logit is +∞, so no token has a probability.
  case infinite(token: Int)
  /// Every logit is −∞.
  case noCandidate(vocabularyCount: Int)
}

extension SamplingError: CustomStringConvertible {
  /// One line: what is wrong, and what would be right.
  public var description: String {
    switch self {
    case .optionOutOfRange(let option, let found, let allowed):
      "\(option) is \(found); allowed: \(allowed)"
    case .tokenOutOfRange(let received, let allowed):
      "token id \(received) is not among the \(allowed.count) tokens of the sampler, which count from 0"
    case .wrongLogitCount(let found, let wanted):
      "there are \(found) logits; one for each of \(wanted) tokens is needed"
    case .notANumber(let token):
      "the logit of token \(token) is not a number; the model's weights or its input are broken"
    case .infinite(let token):
      "the logit of token \(token) is infinite; the model's weights or its input are broken"
    case .noCandidate(let vocabularyCount):
      "the logits of all \(vocabularyCount) tokens are -inf; one finite logit is needed"
    }
  }
}
