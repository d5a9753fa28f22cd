import Memory
import Generation
import Models
import StreamingAttention

/// An answer on its way to standard output.
enum Answer {
  /// Streams an answer and gives its figures for standard error.
  static func stream(_ stream: TokenStream, of session: Session) async throws(CommandFailure)
    -> String
  {
    // An interrupt may have come before there was a stream to cancel.
    if Interrupt.flag.isCancelled { session.cancel() }
    var iterator = stream.makeAsyncIterator()
    var (failure, hasText): (CommandFailure?, Bool) = (nil, false)
    do throws(GenerationError) {
      while failure == nil, let token = try await iterator.next() {
        hasText = hasText || !token.text.isEmpty
        do throws(CommandFailure) { try Terminal.write(token.text) } catch { failure = error }
      }
    } catch {
      failure = CommandFailure(error)
    }
    if let failure {
      // What was written so far ends with a line end of its own.
      if failure.status == .interrupted, hasText { try? Terminal.write("\n") }
      throw failure
    }
    let figures = await session.figures
    let horizon = session.model.shape.alibi == nil ? "" : "; \(figures.attention.text)"
    return line(figures) + horizon
  }

  /// `4096 prompt tokens, 512.3 tokens/s; …`.
  private static func line(_ figures: GenerationFigures) -> String {
    let bytes = Double(figures.peakCacheBytes) / Double(1 << 20)
    return "\(figures.promptTokens) prompt tokens, \(decimal(figures.promptRate)) tokens/s; "
      + "\(figures.answerTokens) answer tokens, \(decimal(figures.answerRate)) tokens/s; "
      + "first token after \(decimal(figures.timeToFirstToken / .seconds(1), digits: 3)) s; "
      + "cache peak \(decimal(bytes)) MiB"
  }

  /// A number with a fixed number of decimals.
  static func decimal(_ value: Double, digits: Int = 1) -> String {
    let unit = (0..<digits).reduce(1) { product, _ in product * 10 }
    let scaled = Int((value * Double(unit)).rounded())
    let fraction = String(scaled % unit)
    return "\(scaled / unit)." + String(repeating: "0", count: digits - fraction.count) + fraction
  }
}
