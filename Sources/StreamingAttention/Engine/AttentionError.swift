/// What an attention step can refuse.
public enum AttentionError: Error, Equatable, CustomStringConvertible {
  /// The cache refused: memory, an unknown sequence, …
  case cache(CacheError)
  /// Memory for the plan or the workers' scratch could not be had.
  case outOfMemory(byteCount: Int)
  /// `ATTEND_ISA` names no instruction set of this machine.
  case instructionSet(received: String, allowed: [String])
  /// An engine was asked for by an instruction set that this machine lacks.
  case unavailable(InstructionSet, allowed: [InstructionSet])
  /// The engine needs one ``LayerAttention`` for each layer of the cache.
  case layerCount(received: Int, allowed: Int)
  /// A layer index outside of the cache's layers.
  case layer(received: Int, allowed: Range<Int>)
  /// Query heads must be a positive multiple of the KV heads.
  case queryHeads(layer: Int, received: Int, kvHeads: Int)
  /// A number of a layer's attention lies outside of what is meaningful.
  case setting(layer: Int, name: String, received: String, allowed: String)
  /// A request of a step asks for a negative number of tokens or rows, or more than there are positions.
  case request(received: String, allowed: String)
  /// A span has the wrong number of values.
  case length(name: String, received: Int, allowed: Int)
  /// `append` or `attend` without `begin`, or `begin` inside a step.
  case noStep(received: String, allowed: String)
  /// A layer was asked before the step's new tokens were appended to it.
  case notAppended(layer: Int, call: String, tokenCount: Int)
  /// The step was cancelled; give it up with ``AttentionEngine/abandon()``.
  case cancelled

  /// One line: what, where, what to change.
  public var description: String {
    switch self {
    case .cache(let error):
      "\(error)"
    case .outOfMemory(let byteCount):
      "cannot allocate \(byteCount) bytes for a step; ask for fewer rows at once"
    case .instructionSet(let received, let allowed):
      "ATTEND_ISA is '\(received)'; this machine has \(allowed.joined(separator: ", "))"
    case .unavailable(let received, let allowed):
      "an engine for \(received.rawValue) cannot run here; this machine has \(allowed.map(\.rawValue).joined(separator: ", "))"
    case .layerCount(let received, let allowed):
      "\(received) layers described, the cache has \(allowed)"
    case .layer(let received, let allowed):
      "layer \(received) is not one of \(allowed.lowerBound)..<\(allowed.upperBound)"
    case .queryHeads(let layer, let received, let kvHeads):
      "layer \(layer): \(received) query heads is no positive multiple of \(kvHeads) KV heads"
    case .setting(let layer, let name, let received, let allowed):
      "layer \(layer): \(name) is \(received); allowed: \(allowed)"
    case .request(let received, let allowed):
      "a step cannot take \(received); allowed: \(allowed)"
    case .length(let name, let received, let allowed):
      "\(name) holds \(received) values, this step needs \(allowed)"
    case .noStep(let received, let allowed):
      "\(received); \(allowed)"
    case .notAppended(let layer, let call, let tokenCount):
      "\(call) of layer \(layer), which lacks the keys and values of the step's \(tokenCount) tokens; "
        + "append(layer: \(layer)) first"
    case .cancelled:
      "cancelled; abandon the step to leave the cache as it was"
    }
  }

  /// Runs `body`, turning what the cache refuses into this module's error.
  static func wrapping<Value>(_ body: () throws(CacheError) -> Value) throws(AttentionError)
    -> Value
  {
    do throws(CacheError) {
      return try body()
    } catch {
      throw .cache(error)
    }
  }
}
