public import Models
public import StreamingAttention
internal import Synchronization
public import Tokenization

/// A text that a model reads and continues, on one cache.
///
/// Each stream goes on where the last one ended: nothing is read twice. Work runs on a Dispatch queue of the session's
/// own; any number of sessions may stream side by side.
public actor Session {
  /// The model.
  public nonisolated let model: DecoderModel
  /// Text to tokens and back.
  public nonisolated let tokenizer: Tokenizer
  /// Tokens that the session may hold.
  public nonisolated let maximumContext: Int
  private nonisolated let executor = QueueExecutor(label: "streaming-attention.session")
  /// What stops the latest stream, for callers that cannot wait for the session's queue.
  private nonisolated let latest = Mutex<CancellationFlag?>(nil)

  /// All tokens so far: those that the model has read, then those that it will read next.
  public internal(set) var tokens: [Int] = []
  /// How many of `tokens` the model has read.
  public internal(set) var readCount = 0
  /// Whether the tokens are turns of a conversation.
  public internal(set) var isConversation = false
  /// What the latest stream has done.
  public internal(set) var figures = GenerationFigures()

  /// Tokens that the model reads in one step of a prompt.
  static let chunk = 512

  let decoder: Decoder
  var sequence: SequenceID
  var sampler: Sampler
  var assembler = UTF8Assembler()
  private var logits: [Float] = []
  /// The row of the latest step whose logits are still to be computed.
  var pendingRow: Int?
  var stream: StreamState?
  /// Where the session was last saved or restored from.
  var store: SnapshotStore?

  struct StreamState {
    /// Stops this stream and no other one; a stream is known by it.
    var cancellation: CancellationFlag
    var maximumTokens: Int
    var stopsAtEnd: Bool
    var progress: (@Sendable (Int) -> Void)?
    var start: ContinuousClock.Instant
    var isEnded = false
  }

  /// An empty session.
  ///
  /// - Parameters:
  ///   - model: The weights, which sessions may share.
  ///   - tokenizer: The model's.
  ///   - keyType: How keys are cached.
  ///   - valueType: How values are cached.
  ///   - fullPrecision: What a quantised cache keeps in 16 bits beside the newest pages.
  ///   - memoryLimit: The most page memory in bytes, above 0; what the machine allows if nil. A step that needs more throws, and the
  ///     session is as it was before it.
  ///   - maximumContext: Tokens that the session may hold, at least 1; the model's trained context if nil.
  ///   - extensionStart: Tokens after which the session goes on with the model's extended rotation, 0 or more; nil for never.
  ///   - alibiEpsilon: The part of a row's softmax that ALiBi heads may leave unread, from 0 (all is read) to below 1.
  ///   - sampling: How tokens are chosen.
  ///   - workers: Who computes.
  /// - Throws: ``GenerationError/model(_:)`` for a number out of range, or where memory cannot be had.
  public init(
    model: DecoderModel, tokenizer: Tokenizer, keyType: ElementType = .float16,
    valueType: ElementType = .float16, fullPrecision: FullPrecision = .sinks,
    memoryLimit: Int? = nil, maximumContext: Int? = nil,
    extensionStart: Int? = nil, alibiEpsilon: Float = LayerAttention.defaultALiBiEpsilon,
    sampling: Sampling = .greedy,
    workers: Workers = .shared
  ) throws(GenerationError) {
    let context = maximumContext ?? model.shape.trainedContext
    do throws(ModelError) {
      let decoder = try Decoder(
        model: model, keyType: keyType, valueType: valueType, maximumContext: context,
        extensionStart: extensionStart, alibiEpsilon: alibiEpsilon, workers: workers,
        memoryLimit: memoryLimit, fullPrecision: fullPrecision)
      sequence = try decoder.makeSequence()
      self.decoder = decoder
    } catch {
      throw GenerationError(error)
    }
    self.model = model
    self.tokenizer = tokenizer
    self.maximumContext = context
    sampler = Sampler(sampling, vocabularyCount: model.vocabularySize)
  }

  /// The session's queue.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe executor.asUnownedSerialExecutor()
  }

  /// Stops the latest stream within a fraction of a second; the chunk of a prompt that is being read is undone.
  ///
  /// From then on the stream throws ``GenerationError/cancelled``. Tokens that were not read stay in line: a new stream
  /// with an empty prompt goes on as if nothing had happened. Without effect on a stream that has ended.
  public nonisolated func cancel() { latest.withLock { $0?.cancel() } }

  /// Reads a prompt behind everything so far and begins an answer.
  ///
  /// - Parameters:
  ///   - prompt: Token ids; may be empty where tokens wait to be read.
  ///   - maximumTokens: Tokens of the answer at most, none where this is not above 0; it also ends where the context is full.
  ///   - stopsAtEnd: Whether the answer ends with an end token.
  ///   - progress: Called with the tokens of the prompt read so far, after each step.
  /// - Returns: The answer's tokens; nothing is computed before they are asked for. A later call ends the stream.
  /// - Throws: ``GenerationError``, with the session as it was.
  public func generate(
    _ prompt: [Int], maximumTokens: Int, stopsAtEnd: Bool = true,
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws(GenerationError) -> TokenStream {
    if let token = prompt.first(where: { !(0..<model.vocabularySize).contains($0) }) {
      throw .model(.tokenOutOfRange(received: token, allowed: 0..<model.vocabularySize))
    }
    let count = tokens.count + prompt.count
    guard count > readCount || pendingRow != nil else { throw .emptyPrompt }
    guard count + min(max(0, maximumTokens), 1) <= maximumContext else {
      throw .contextExceeded(received: count, allowed: maximumContext)
    }
    do throws(SamplingError) { try sampler.observe(contentsOf: prompt) } catch {
      throw .sampling(error)
    }
    tokens += prompt
    figures = GenerationFigures()
    // An answer that goes on may stand inside a character.
    if !prompt.isEmpty { assembler = UTF8Assembler() }
    let cancellation = CancellationFlag()
    latest.withLock { $0 = cancellation }
    stream = StreamState(
      cancellation: cancellation, maximumTokens: min(maximumTokens, maximumContext - count),
      stopsAtEnd: stopsAtEnd, progress: progress, start: .now)
    return TokenStream(session: self, cancellation: cancellation)
  }

  /// The next token of the stream that `cancellation` stops; nil at its end.
  func next(of cancellation: CancellationFlag) throws(GenerationError) -> GeneratedToken? {
    guard let current = stream, current.cancellation === cancellation, !current.isEnded,
      figures.answerTokens < current.maximumTokens
    else { return nil }
    if cancellation.isCancelled { throw .cancelled }
    let isFirst = figures.answerTokens == 0
    let began = ContinuousClock.now
    try readTokens(of: current, isPrompt: isFirst)
    if isFirst { figures.promptTime = .now - began }
    let token: Int
    do throws(SamplingError) {
      token = try sampler.sample(logits.span)
      try sampler.observe(token)
    } catch {
      throw .sampling(error)
    }
    tokens.append(token)
    figures.answerTokens += 1
    if isFirst {
      figures.timeToFirstToken = .now - current.start
    } else {
      figures.answerTime += .now - began
    }
    figures.peakCacheBytes = decoder.cache.peakByteCount

    let isEnd = current.stopsAtEnd && tokenizer.isEnd(token)
    let isLast = isEnd || figures.answerTokens == current.maximumTokens
    stream?.isEnded = isLast
    // A row of the embedding beyond the vocabulary has no text.
    let bytes = (try? tokenizer.bytes(of: token)) ?? []
    var text = isEnd ? "" : assembler.append(bytes)
    if isLast { text += assembler.finish() }
    return GeneratedToken(id: token, text: text, isEnd: isEnd)
  }

  /// Lets the model read what waits, in chunks, and leaves the logits of the last token.
  private func readTokens(
    of stream: StreamState, isPrompt: Bool
  ) throws(GenerationError) {
    do throws(ModelError) {
      while readCount < tokens.count {
        let end =
          readCount
          + decoder.stepCount(min(Self.chunk, tokens.count - readCount), from: readCount)
        try decoder.step(
          [DecoderInput(sequence, Array(tokens[readCount..<end]))],
          cancellation: stream.cancellation)
        figures.attention.add(decoder.attentionReport)
        pendingRow = end - readCount - 1
        if isPrompt { figures.promptTokens += end - readCount }
        readCount = end
        if isPrompt { stream.progress?(figures.promptTokens) }
      }
      if let row = pendingRow {
        // One row is not worth cancelling: the token has been read, and its logits would have to be made up for.
        try decoder.logits(ofRows: row..<row + 1, into: &logits)
        pendingRow = nil
      }
    } catch {
      throw GenerationError(error)
    }
  }

  /// The logits of the last token that was read before an answer's token was chosen.
  package var latestLogits: [Float] { logits }
}
