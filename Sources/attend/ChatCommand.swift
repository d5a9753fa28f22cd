import Memory
import Generation
import Glibc
import Tokenization

extension Command {
  static let chat = Command(
    name: "chat", overview: "Answer every line of standard input, on one cache.",
    arguments: [("MODEL", "A GGUF file with a chat template.")],
    options: [
      Option("--system", "TEXT", "The system's message. Default: the template's own.")
    ] + SessionOptions.all,
    run: ChatRun.run)
}

/// `attend chat`.
enum ChatRun {
  @Sendable static func run(_ arguments: Arguments) async throws(CommandFailure) {
    let options = try SessionOptions(arguments)
    let session = try options.makeSession(arguments.positionals[0])
    let conversation: Conversation
    do throws(TokenizationError) {
      conversation = try Conversation(session, system: arguments.text("--system"))
    } catch {
      throw CommandFailure(.badData, "\(arguments.positionals[0]): \(error)")
    }
    if try await options.resume(session) {
      guard arguments.text("--system") == nil else {
        throw .usage("--system is of no use in a conversation that has begun; leave it out")
      }
      guard await session.isConversation else {
        throw CommandFailure(
          .badData, "\(options.file ?? ""): a session of attend generate has no turns to go on with"
        )
      }
    }
    while let line = nextLine() {
      if line.isEmpty { continue }
      try await options.checkSaving(session)
      Interrupt.begin { session.cancel() }
      let stream: TokenStream
      do throws(GenerationError) {
        stream = try await conversation.reply(to: line, maximumTokens: options.maximumTokens)
      } catch {
        throw CommandFailure(error)
      }
      let figures = try await Answer.stream(stream, of: session)
      try Terminal.write("\n")
      Terminal.note(figures)
      try await options.save(session)
      try Interrupt.end()
    }
  }

  /// The next line of standard input, which a terminal is asked for; nil at its end.
  private static func nextLine() -> String? {
    if isatty(STDIN_FILENO) == 1 { Terminal.noteUnended("> ") }
    return readLine()
  }
}
