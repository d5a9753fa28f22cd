public import Models
public import StreamingAttention
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
  private nonisolated let cancellation = CancellationFlag()

  /// All tokens so far: those that the model has read, then those that it will read next.
  public private(set) var tokens: [Int] = []
  /// How many of `tokens` the model has read.
  public private(set) var readCount = 0
  /// What the latest stream has done.
  public private(set) var figures = GenerationFigures()

  /// Tokens that the model reads in one step of a prompt.
  static let chunk = 512

  private let decoder: Decoder
  private let sequence: SequenceID
  private var sampler: Sampler
  private var assembler = UTF8Assembler()
  private var logits: [Float] = []
  private var stream: StreamState?

  private struct StreamState {
    var number: Int
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
  ///   - maximumContext: Tokens that the session may hold; the model's trained context if nil.
  ///   - sampling: How tokens are chosen.
  ///   - workers: Who computes.
  /// - Throws: ``GenerationError``.
  public init(
    model: DecoderModel, tokenizer: Tokenizer, keyType: ElementType = .float16,
    valueType: ElementType = .float16, maximumContext: Int? = nil, sampling: Sampling = .greedy,
    workers: Workers = .shared
  ) throws(GenerationError) {
    let context = maximumContext ?? model.shape.trainedContext
    do throws(ModelError) {
      let decoder = try Decoder(
        model: model, keyType: keyType, valueType: valueType, maximumContext: context,
        workers: workers)
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

  /// Stops the stream in progress within a fraction of a second; the chunk of a prompt that is being read is undone.
  ///
  /// The stream throws ``GenerationError/cancelled``. Tokens that were not read stay in line for the next stream.
  public nonisolated func cancel() { cancellation.cancel() }

  /// Reads a prompt behind everything so far and begins an answer.
  ///
  /// - Parameters:
  ///   - prompt: Token ids; may be empty where tokens wait to be read.
  ///   - maximumTokens: Tokens of the answer at most.
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
    guard count > readCount else { throw .emptyPrompt }
    guard count <= maximumContext else {
      throw .contextExceeded(received: count, allowed: maximumContext)
    }
    tokens += prompt
    sampler.observe(contentsOf: prompt)
    figures = GenerationFigures()
    assembler = UTF8Assembler()
    cancellation.reset()
    let number = (stream?.number ?? 0) + 1
    stream = StreamState(
      number: number, maximumTokens: maximumTokens, stopsAtEnd: stopsAtEnd, progress: progress,
      start: .now)
    return TokenStream(session: self, number: number)
  }

  /// The next token of stream number `number`; nil at its end.
  func next(of number: Int) throws(GenerationError) -> GeneratedToken? {
    guard let current = stream, current.number == number, !current.isEnded,
      figures.answerTokens < current.maximumTokens
    else { return nil }
    let isFirst = figures.answerTokens == 0
    let began = ContinuousClock.now
    try readTokens(isPrompt: isFirst, progress: isFirst ? current.progress : nil)
    if isFirst { figures.promptTime = .now - began }
    let token: Int
    do throws(SamplingError) { token = try sampler.sample(logits.span) } catch {
      throw .sampling(error)
    }
    sampler.observe(token)
    tokens.append(token)
    figures.answerTokens += 1
    if isFirst {
      figures.timeToFirstToken = .now - current.start
    } else {
      figures.answerTime += .now - began
    }
    figures.peakCacheBytes = decoder.cache.peakByteCount

    let isEnd = current.stopsAtEnd && tokenizer.isEnd(token)
    let isLast =
      isEnd || figures.answerTokens == current.maximumTokens || tokens.count > maximumContext
    stream?.isEnded = isLast
    // A row of the embedding beyond the vocabulary has no text.
    let bytes = (try? tokenizer.bytes(of: token)) ?? []
    var text = isEnd ? "" : assembler.append(bytes)
    if isLast { text += assembler.finish() }
    return GeneratedToken(id: token, text: text, isEnd: isEnd)
  }

  /// Lets the model read what waits, in chunks, and leaves the logits of the last token.
  private func readTokens(
    isPrompt: Bool, progress: (@Sendable (Int) -> Void)?
  ) throws(GenerationError) {
    do throws(ModelError) {
      while readCount < tokens.count {
        let end = min(readCount + Self.chunk, tokens.count)
        try decoder.step(
          [DecoderInput(sequence, Array(tokens[readCount..<end]))], cancellation: cancellation)
        if isPrompt { figures.promptTokens += end - readCount }
        let rows = end - readCount
        readCount = end
        progress?(figures.promptTokens)
        if end == tokens.count {
          try decoder.logits(
            ofRows: rows - 1..<rows, into: &logits, cancellation: cancellation)
        }
      }
    } catch {
      throw GenerationError(error)
    }
  }
}
