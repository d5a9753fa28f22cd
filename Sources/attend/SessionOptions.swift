import Generation
import Memory
import ModelFiles
import Models
import StreamingAttention
import Tokenization

/// The options of the commands that write text, and the session that they make.
struct SessionOptions {
  static let all =
    [
      Option("--max-tokens", "N", "Tokens of an answer at most, 0 or more. Default: 256."),
      Option(
        "--maximum-context", "N",
        "Tokens of prompt and answers together at most. Default: what the model was trained for, times the "
          + "rotary factor if one is given."),
      Option(
        "--temperature", "T", "0 takes the likeliest token, 1 the model's own odds. Default: 0."),
      Option("--top-k", "K", "Only the K likeliest tokens; 0 for all. Default: 0."),
      Option(
        "--top-p", "P",
        "Only the likeliest tokens that have probability P together, above 0 to 1. Default: 1."),
      Option(
        "--min-p", "P",
        "Only tokens at least P times as likely as the likeliest, 0 to 1. Default: 0."),
      Option(
        "--repetition-penalty", "R",
        "Divides the logits of tokens seen before, 0.01 to 100. Default: 1."),
      Option("--seed", "N", "Seed of all random choices, 0 to 2^64 - 1. Default: 0."),
      Option(
        "--session", "FILE",
        "Go on where the session in FILE stopped, if it is there and not empty, and save it there at the end of each "
          + "answer. Its cache lies beside it, in FILE.*.pages."),
    ] + ModelOptions.all

  let model: ModelOptions
  let maximumTokens: Int
  /// Where the session is kept, if anywhere.
  let file: String?
  private let maximumContext: Int?
  private let sampling: Sampling

  init(_ arguments: Arguments) throws(CommandFailure) {
    model = try ModelOptions(arguments)
    file = arguments.text("--session")
    if file == "" { throw .usage("--session is ''; allowed: the name of a file") }
    maximumTokens = try arguments.integer("--max-tokens", in: 0...Int(Int32.max)) ?? 256
    maximumContext = try arguments.integer("--maximum-context", in: 1...Int(Int32.max))
    let temperature = try arguments.number("--temperature", "0 or above, at most 100") {
      (0...100).contains($0)
    }
    let topK = try arguments.integer("--top-k", in: 0...Int.max)
    let topP = try arguments.number("--top-p", "above 0, at most 1") { $0 > 0 && $0 <= 1 }
    let minP = try arguments.number("--min-p", "0 to 1") { (0...1).contains($0) }
    let penalty = try arguments.number("--repetition-penalty", "0.01 to 100") {
      (0.01...100).contains($0)
    }
    let seed = try arguments.seed("--seed")
    do throws(SamplingError) {
      sampling = try Sampling(
        temperature: temperature ?? 0, topK: topK ?? 0, topP: topP ?? 1, minP: minP ?? 0,
        repetitionPenalty: penalty ?? 1, seed: seed ?? 0)
    } catch {
      throw .usage("\(error)")
    }
  }

  /// Opens and loads the model of `path`, and makes an empty session.
  func makeSession(_ path: String) throws(CommandFailure) -> Session {
    let file = try ModelOptions.open(path)
    let tokenizer: Tokenizer
    do throws(TokenizationError) {
      tokenizer = try Tokenizer(try Vocabulary(metadata: file.metadata))
    } catch {
      throw CommandFailure(.badData, "\(path): \(error)")
    }
    let decoder = try model.load(file)
    let context =
      maximumContext ?? model.context(trained: decoder.shape.trainedContext)
    do throws(GenerationError) {
      return try Session(
        model: decoder, tokenizer: tokenizer, keyType: model.keyType, valueType: model.valueType,
        fullPrecision: model.fullPrecision, memoryLimit: model.memoryLimit,
        maximumContext: context,
        extensionStart: model.extensionStart,
        alibiEpsilon: model.alibiEpsilon, sampling: sampling,
        workers: model.workers)
    } catch {
      throw CommandFailure(error)
    }
  }
}

extension SessionOptions {
  /// Restores a session and checks that it can be saved again, before anything is computed; false as `restore`.
  func resume(_ session: Session) async throws(CommandFailure) -> Bool {
    let isRestored = try await restore(session)
    try await checkSaving(session)
    return isRestored
  }

  /// Lets a session go on where the one in the file stopped; false without a file of that name, or with an empty one.
  private func restore(_ session: Session) async throws(CommandFailure) -> Bool {
    guard let file else { return false }
    let start = ContinuousClock.now
    do throws(GenerationError) {
      let report = try await session.restore(from: file)
      let seconds = Answer.decimal((.now - start) / .seconds(1), digits: 3)
      let bytes = Answer.decimal(Double(report.movedPageBytes) / Double(1 << 20))
      Terminal.note("\(await session.tokens.count) tokens, \(bytes) MiB restored in \(seconds) s")
      return true
    } catch {
      if case .snapshot(.notFound) = error { return false }
      throw CommandFailure(error)
    }
  }

  /// Throws before an answer what would keep the session from being saved after it.
  func checkSaving(_ session: Session) async throws(CommandFailure) {
    guard let file else { return }
    do throws(GenerationError) {
      try await session.checkSaving(to: file, replacesOthers: false)
    } catch {
      throw CommandFailure(error)
    }
  }

  /// Saves a session if it is to be kept; an interrupt ends the wait for another process that saves or restores.
  func save(_ session: Session) async throws(CommandFailure) {
    guard let file else { return }
    let patience = TurnPatience { Interrupt.flag.isCancelled }
    let failure = await TurnPatience.$current.withValue(patience) { () -> GenerationError? in
      do throws(GenerationError) {
        try await session.save(to: file, replacesOthers: false)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw CommandFailure(failure) }
  }
}

extension CommandFailure {
  init(_ error: SnapshotError) {
    let status: ExitStatus =
      switch error {
      case .invalidPath: .usage
      case .notFound: .missingFile
      case .file(.unwritable), .file(.refused), .replaced: .inputOutput
      case .file(.outOfMemory), .cache: .outOfResources
      case .file(.unreadable(_, let number)): ExitStatus(readingFailed: number)
      case .file: .missingFile
      case .notSnapshot, .version, .damaged, .shape, .frequencies: .badData
      case .noFrequencies: .software
      case .cancelled: .interrupted
      }
    self.init(status, "\(error)")
  }

  init(_ error: GenerationError) {
    switch error {
    case .emptyPrompt: self.init(.badData, "\(error)")
    case .contextExceeded:
      self.init(.badData, "\(error) (--maximum-context)")
    case .sampling(.optionOutOfRange): self.init(.usage, "\(error)")
    case .sampling: self.init(.badData, "\(error)")
    case .model(let error): self.init(error)
    case .cancelled: self.init(.interrupted, Interrupt.message)
    case .snapshot(let error): self.init(error)
    case .otherFrequencies:
      self.init(.badData, "\(error) (--maximum-context, --rope-scaling)")
    case .notSession, .otherModel: self.init(.badData, "\(error)")
    }
  }
}
