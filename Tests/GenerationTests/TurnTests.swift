import Generation
import Models
import TestSupport
import Testing
import Tokenization

/// Several turns on one cache, with the real model.
@Suite("Turns", .serialized)
struct TurnTests {
  let smolLM2: TestModel

  init() throws { smolLM2 = try TestModel.smolLM2.get() }

  /// The logits behind `tokens` in a session of their own, read at once.
  private func freshLogits(_ tokens: [Int]) async throws -> [Float] {
    let session = try smolLM2.session()
    _ = try await session.generate(tokens, maximumTokens: 1).collected()
    return await session.latestLogits
  }

  @Test("a turn reads its own tokens only, and its logits are those of the whole conversation")
  func turns() async throws {
    let session = try smolLM2.session()
    let conversation = try Conversation(session, system: "Answer in one word.")
    let template = try ChatTemplate(smolLM2.tokenizer)
    var messages = [ChatMessage(.system, "Answer in one word.")]
    var waiting = 0
    for (question, maximumTokens) in [
      ("What is the capital of France?", 64), ("Tell me a long story about it.", 9),
      ("And of Italy? ☕", 64),
    ] {
      let held = await session.tokens
      let readBefore = await session.readCount
      #expect(held.count - readBefore == waiting)
      messages.append(ChatMessage(.user, question))
      let stream = try await conversation.reply(to: question, maximumTokens: maximumTokens)
      let wanted = template.prompt(for: messages)
      #expect(await session.tokens == wanted)

      let first = try await stream.collected(1)
      #expect(await session.readCount == wanted.count)
      #expect(await session.figures.promptTokens == wanted.count - readBefore)
      // Bit for bit: up to 128 entries the order of summation does not depend on how the tokens came in.
      let fresh = try await freshLogits(wanted)
      #expect(await session.latestLogits == fresh)

      let answer = try await first + stream.collected()
      #expect(answer.count <= maximumTokens)
      let ended = answer.last?.isEnd == true
      // The cut answer is one of those that the test is about.
      #expect(ended == (maximumTokens == 64))
      messages.append(ChatMessage(.assistant, answer.text))
      // The last token of an answer waits for the next turn.
      waiting = 1
      #expect(await session.tokens == wanted + answer.ids)
    }
  }

  @Test("a refused turn leaves the conversation as it was")
  func refused() async throws {
    let session = try smolLM2.session(maximumContext: 80)
    let conversation = try Conversation(session)
    let long = String(repeating: "word ", count: 100)
    await #expect(throws: GenerationError.self) {
      try await conversation.reply(to: long, maximumTokens: 4)
    }
    #expect(await session.tokens == [])
    let answer = try await conversation.reply(to: "Hi", maximumTokens: 4).collected()
    #expect(answer.count == 4)
    let before = await session.tokens
    #expect(before.starts(with: try ChatTemplate(smolLM2.tokenizer).opening()))
    await #expect(throws: GenerationError.self) {
      try await conversation.reply(to: long, maximumTokens: 4)
    }
    #expect(await session.tokens == before)
    #expect(try await !conversation.reply(to: "Bye", maximumTokens: 4).collected().isEmpty)
  }
}
