import Memory
import Generation
import Tokenization

extension Command {
  static let generate = Command(
    name: "generate", overview: "Read a prompt and stream its continuation.",
    arguments: [("MODEL", "A GGUF file.")],
    options: [
      Option("--prompt", "TEXT", "The prompt; control tokens may be written by name."),
      Option("--prompt-file", "FILE", "A file that holds the prompt, UTF-8; - for standard input."),
    ] + SessionOptions.all,
    run: GenerateRun.run)
}

/// `attend generate`.
enum GenerateRun {
  @Sendable static func run(_ arguments: Arguments) async throws(CommandFailure) {
    let options = try SessionOptions(arguments)
    let text = try prompt(arguments)
    let session = try options.makeSession(arguments.positionals[0])
    let tokens: [Int]
    if try await options.resume(session) {
      tokens = session.tokenizer.encode(text ?? "", specialTokens: .parsed)
    } else {
      guard let text else { throw missingPrompt }
      tokens = session.tokenizer.encodeFromBeginning(text, specialTokens: .parsed)
    }
    let bar = ProgressBar("reading", total: tokens.count)
    Interrupt.begin { session.cancel() }
    let stream: TokenStream
    do throws(GenerationError) {
      stream = try await session.generate(tokens, maximumTokens: options.maximumTokens) {
        bar.update($0)
      }
    } catch {
      throw CommandFailure(error)
    }
    let figures: String
    do throws(CommandFailure) { figures = try await Answer.stream(stream, of: session) } catch {
      bar.finish()
      throw error
    }
    try Terminal.write("\n")
    Terminal.note(figures)
    try await options.save(session)
    try Interrupt.end()
  }

  private static let missingPrompt = CommandFailure.usage(
    "give either --prompt TEXT or --prompt-file FILE")

  /// Nil where a session may go on without one.
  private static func prompt(_ arguments: Arguments) throws(CommandFailure) -> String? {
    switch (arguments.text("--prompt"), arguments.text("--prompt-file")) {
    case (let text?, nil): return text
    case (nil, let path?):
      let bytes = try InputFile.read(path == "-" ? "/dev/stdin" : path)
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw CommandFailure(.badData, "\(path): not UTF-8 text")
      }
      return text
    case (nil, nil) where arguments.has("--session"): return nil
    default: throw missingPrompt
    }
  }
}
