public import Models

/// Why a session cannot begin or go on.
public enum GenerationError: Error, Equatable {
  /// There is nothing to continue.
  case emptyPrompt
  /// The prompt and what was before it leave no room for an answer in the context.
  case contextExceeded(received: Int, allowed: Int)
  /// The options of sampling, or logits that no token can be chosen from.
  case sampling(SamplingError)
  /// The model refused.
  case model(ModelError)
  /// The stream was cancelled; the session can go on.
  case cancelled
}

extension GenerationError: CustomStringConvertible {
  /// One line: what, and what to change.
  public var description: String {
    switch self {
    case .emptyPrompt: "the prompt is empty; at least one token is needed"
    case .contextExceeded(let received, let allowed):
      "\(received) tokens leave no room for an answer in a context of \(allowed); "
        + "shorten the prompt or raise the maximum context"
    case .sampling(let error): "\(error)"
    case .model(let error): "\(error)"
    case .cancelled: "cancelled"
    }
  }

  init(_ error: ModelError) { self = error == .cancelled ? .cancelled : .model(error) }
}
