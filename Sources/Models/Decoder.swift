public import StreamingAttention

/// Tokens that a step appends to one sequence.
public struct DecoderInput: Sendable, Equatable {
  /// The sequence to grow.
  public var sequence: SequenceID
  /// Ids of the new tokens.
  public var tokens: [Int]

  /// Appends `tokens` to `sequence`.
  public init(_ sequence: SequenceID, _ tokens: [Int]) {
    self.sequence = sequence
    self.tokens = tokens
  }
}

/// Runs a model over the sequences of a cache of its own.
///
/// Used by one thread at a time; the work inside a call is shared among the workers. The result of a row depends on
/// its sequence alone: not on the batch or the workers, to the last bit, and not on chunks up to 8,192 tokens unless the
/// cache is quantised: a step reads its own tokens before they are.
public final class Decoder {
  /// The weights.
  public let model: DecoderModel
  /// Keys and values of all layers; sequences are made and dropped here.
  public let cache: KVCache
  /// Tokens that a sequence may have.
  public let maximumContext: Int
  /// Tokens after which a sequence goes on with the model's ``DecoderModel/extendedRotary``; nil for never.
  public let extensionStart: Int?

  package let engine: AttentionEngine
  let dense: DenseKernels
  /// Rows of the last step.
  private(set) var rowCount = 0

  private var activations = Activations()

  /// A decoder with an empty cache.
  ///
  /// - Parameters:
  ///   - model: The weights.
  ///   - keyType: How keys are stored.
  ///   - valueType: How values are stored.
  ///   - maximumContext: Tokens that a sequence may have, at least 1; a scaling that depends on the length is evaluated there.
  ///   - extensionStart: Tokens after which a sequence goes on with the model's ``DecoderModel/extendedRotary``, from the
  ///     first step on that begins there or later, 0 or more. What the cache holds by then stays as it is; nil for never.
  ///   - alibiEpsilon: The part of a row's softmax that ALiBi heads may leave unread, from 0 (all is read) to below 1.
  ///   - workers: Who computes.
  ///   - memoryLimit: The most page memory in bytes, above 0; what the machine allows if nil.
  ///   - fullPrecision: What a quantised cache keeps in 16 bits beside the newest pages.
  /// - Throws: ``ModelError``: `tooSmall` for a context or an extension out of range, `attention` for what the cache or the
  ///   engine refuses.
  public init(
    model: DecoderModel, keyType: ElementType = .float16, valueType: ElementType = .float16,
    maximumContext: Int, extensionStart: Int? = nil,
    alibiEpsilon: Float = LayerAttention.defaultALiBiEpsilon, workers: Workers,
    memoryLimit: Int? = nil, fullPrecision: FullPrecision = .sinks
  ) throws(ModelError) {
    guard maximumContext >= 1 else {
      throw .tooSmall(option: "the maximum context", received: maximumContext, allowed: 1)
    }
    if let extensionStart, extensionStart < 0 {
      throw .tooSmall(
        option: "the context before its extension", received: extensionStart, allowed: 0)
    }
    self.model = model
    self.maximumContext = maximumContext
    self.extensionStart = model.extendedRotary == nil ? nil : extensionStart
    do throws(CacheError) {
      cache = try KVCache(
        layers: model.cacheShapes(keyType: keyType, valueType: valueType),
        memoryLimit: memoryLimit, fullPrecision: fullPrecision)
    } catch {
      throw .attention(.cache(error))
    }
    do throws(AttentionError) {
      engine = try AttentionEngine(
        cache: cache,
        layers: model.attention(
          context: maximumContext, extensionStart: extensionStart, alibiEpsilon: alibiEpsilon),
        workers: workers,
        instructionSet: model.instructionSet)
      dense = try DenseKernels(workers: workers, instructionSet: model.instructionSet)
    } catch {
      throw .attention(error)
    }
  }

  /// A new, empty sequence.
  public func makeSequence() throws(ModelError) -> SequenceID {
    do throws(CacheError) { return try cache.makeSequence() } catch {
      throw .attention(.cache(error))
    }
  }

  /// Appends tokens to sequences and computes their hidden rows; see ``logits(ofRows:into:cancellation:)``.
  ///
  /// - Throws: ``ModelError``, after which all sequences are as before.
  public func step(
    _ inputs: [DecoderInput], cancellation: CancellationFlag? = nil
  ) throws(ModelError) {
    for input in inputs {
      for token in input.tokens where !(0..<model.vocabularySize).contains(token) {
        throw .tokenOutOfRange(received: token, allowed: 0..<model.vocabularySize)
      }
    }
    rowCount = 0
    let extended = try extendContexts(of: inputs)
    do throws(ModelError) {
      try run(inputs, cancellation)
    } catch {
      for sequence in extended { try? cache.setRotation(.standard, of: sequence) }
      throw error
    }
    rowCount = inputs.reduce(0) { $0 + $1.tokens.count }
  }

  private func run(
    _ inputs: [DecoderInput], _ cancellation: CancellationFlag?
  ) throws(ModelError) {
    do throws(AttentionError) {
      try engine.begin(inputs.map { StepRequest($0.sequence, appending: $0.tokens.count) })
    } catch {
      throw ModelError(error)
    }
    do throws(ModelError) {
      try activations.run(inputs, in: context(cancellation))
    } catch {
      engine.abandon()
      throw error
    }
    engine.commit()
  }

  /// Changes the frequencies of sequences that have reached the extension; those that it has changed.
  private func extendContexts(of inputs: [DecoderInput]) throws(ModelError) -> [SequenceID] {
    guard let extensionStart, let extended = model.extendedRotary else { return [] }
    let rotation = SequenceRotation(
      epoch: 2, keys: extended.followsLength ? .whenRead : .whenStored)
    var changed: [SequenceID] = []
    do throws(CacheError) {
      for input in inputs {
        guard try cache.length(of: input.sequence) >= extensionStart,
          try cache.rotation(of: input.sequence) == .standard
        else { continue }
        try cache.setRotation(rotation, of: input.sequence)
        changed.append(input.sequence)
      }
    } catch {
      for sequence in changed { try? cache.setRotation(.standard, of: sequence) }
      throw .attention(.cache(error))
    }
    return changed
  }

  /// How many of `count` tokens a sequence of that length should append in one step: none on both sides of the extension.
  public func stepCount(_ count: Int, from length: Int) -> Int {
    guard let extensionStart, length < extensionStart else { return count }
    return min(count, extensionStart - length)
  }

  /// Logits of some rows of the last step: tokens of its inputs, one after the other.
  ///
  /// - Parameters:
  ///   - rows: Which rows.
  ///   - logits: `[row][vocabularySize]`, resized as needed.
  ///   - cancellation: Looked at between pieces of the work.
  /// - Throws: ``ModelError/cancelled``, or for want of memory.
  /// - Precondition: the last step succeeded and has these rows.
  public func logits(
    ofRows rows: Range<Int>, into logits: inout [Float], cancellation: CancellationFlag? = nil
  ) throws(ModelError) {
    precondition(
      rows.lowerBound >= 0 && rows.upperBound <= rowCount, "rows \(rows) of \(rowCount)")
    try activations.logits(ofRows: rows, into: &logits, in: context(cancellation))
  }

  /// What attention read in all layers of the last step, and what it left out.
  public var attentionReport: AttentionReport { activations.report }

  private func context(_ cancellation: CancellationFlag?) -> Activations.Context {
    Activations.Context(model: model, engine: engine, dense: dense, cancellation: cancellation)
  }
}
