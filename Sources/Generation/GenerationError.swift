public import Models
public import StreamingAttention

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
  /// The session could not be saved or restored.
  case snapshot(SnapshotError)
  /// The snapshot is not one of a session.
  case notSession(path: String)
  /// The session was made with another model.
  case otherModel(path: String)
  /// The session's keys were turned by other rotary frequencies, and it was made with another maximum context, which
  /// some scalings depend on: the session's, and that of the one that it was to be restored in.
  case otherFrequencies(path: String, received: Int, allowed: Int)
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
    case .snapshot(let error): "\(error)"
    case .notSession(let path):
      "\(path): a snapshot of a cache, not of a session; choose another file"
    case .otherModel(let path):
      "\(path): the session was made with another model; use that one, or choose another file"
    case .otherFrequencies(let path, let received, let allowed):
      "\(path): its keys were turned by other rotary frequencies; it was made with a maximum context of \(received), not "
        + "\(allowed), and dynamic scaling depends on that: use the maximum context and the scaling that it was made with"
    }
  }

  init(_ error: ModelError) { self = error == .cancelled ? .cancelled : .model(error) }
}
