import Generation
import Models
import StreamingAttention
import Synchronization
import TestSupport
import Testing
import Tokenization

/// Stopping a stream, and going on.
@Suite("Cancellation", .serialized)
struct CancellationTests {
  let smolLM2: TestModel

  init() throws { smolLM2 = try TestModel.smolLM2.get() }

  @Test("inside a prompt's chunk: that is undone, and going on gives the bits of a run in one go")
  func insidePrompt() async throws {
    let prompt = try smolLM2.longPrompt(800)
    let whole = try smolLM2.session()
    let wanted = try await whole.generate(prompt, maximumTokens: 6).collected()
    let session = try smolLM2.session()
    var readCount = 0
    for (way, chunks) in [(StreamReader.Way.session, 0), (.task, 1)] {
      let reader = StreamReader()
      let rest = readCount == 0 && chunks == 0 ? prompt : []
      let stream = try await session.generate(rest, maximumTokens: 6) {
        reader.note(promptTokens: $0)
      }
      let start = ContinuousClock.now
      await reader.read(stream, of: session, stopBy: way) {
        // A chunk of 512 takes a third of a second and more.
        $0.promptTokens >= 512 * chunks && .now - start > .milliseconds(20)
      }
      #expect(reader.tokens.isEmpty)
      readCount += reader.promptTokens
      #expect(await session.readCount == readCount)
      #expect(readCount == 512 * chunks)
      #expect(await session.tokens == prompt)
    }
    let rest = try await session.generate([], maximumTokens: 6).collected()
    #expect(rest == wanted)
    #expect(await session.figures.promptTokens == prompt.count - readCount)
    let (logits, wholeLogits) = await (session.latestLogits, whole.latestLogits)
    #expect(logits == wholeLogits)
  }

  @Test("inside an answer, drawn or greedy: going on gives the text of a run in one go")
  func insideAnswer() async throws {
    let sampling = try Sampling(temperature: 0.8, topP: 0.95, repetitionPenalty: 1.1, seed: 4)
    let prompt = smolLM2.tokenizer.encode("Once upon a time", specialTokens: .asText)
    for (way, sampling) in [(StreamReader.Way.task, sampling), (.session, .greedy)] {
      let whole = try smolLM2.session(sampling: sampling)
      let wanted = try await whole.generate(prompt, maximumTokens: 24, stopsAtEnd: false)
        .collected()
      let session = try smolLM2.session(sampling: sampling)
      let reader = StreamReader()
      let stream = try await session.generate(prompt, maximumTokens: 24, stopsAtEnd: false)
      await reader.read(stream, of: session, stopBy: way) { $0.tokens.count >= 3 }
      let begun = reader.tokens
      let rest = try await session.generate(
        [], maximumTokens: 24 - begun.count, stopsAtEnd: false
      ).collected()
      #expect((begun + rest).ids == wanted.ids)
      #expect((begun + rest).text == wanted.text)
      let (logits, wholeLogits) = await (session.latestLogits, whole.latestLogits)
      #expect(logits == wholeLogits)
    }
  }

  @Test("between the chunks of a prompt and after the last one: going on gives the same text")
  func betweenChunks() async throws {
    let tiny = try TestModel.tiny()
    let prompt = (0..<700).map { $0 % 128 }
    let wanted = try await tiny.session().generate(prompt, maximumTokens: 5).collected()
    for count in [512, 700] {
      let session = try tiny.session()
      let stream = try await session.generate(prompt, maximumTokens: 5) {
        if $0 == count { session.cancel() }
      }
      var (begun, iterator) = ([GeneratedToken](), stream.makeAsyncIterator())
      await #expect(throws: GenerationError.cancelled) {
        while let token = try await iterator.next() { begun.append(token) }
      }
      #expect(await session.readCount == count)
      // What has been read whole is not thrown away.
      #expect(begun.count == (count == 700 ? 1 : 0))
      let rest = try await session.generate([], maximumTokens: 5 - begun.count).collected()
      #expect(begun + rest == wanted)
    }
  }

  @Test("before the first token is asked for: not lost, and nothing is read")
  func beforeReading() async throws {
    let session = try smolLM2.session()
    let stream = try await session.generate([1, 2, 3], maximumTokens: 2)
    session.cancel()
    await #expect(throws: GenerationError.cancelled) { try await stream.collected() }
    await #expect(throws: GenerationError.cancelled) { try await stream.collected() }
    #expect(await session.readCount == 0)
    #expect(try await session.generate([], maximumTokens: 2).collected().count == 2)
  }

  @Test("in a task that is cancelled already: nothing is read")
  func cancelledTask() async throws {
    let session = try smolLM2.session()
    let stream = try await session.generate([1, 2, 3], maximumTokens: 2)
    let task = Task {
      while !Task.isCancelled { await Task.yield() }
      return await #expect(throws: GenerationError.cancelled) { try await stream.collected() }
    }
    task.cancel()
    _ = await task.value
    #expect(await session.readCount == 0)
  }

  @Test("of a stream that has ended or was replaced: the next one goes on")
  func staleCancel() async throws {
    let session = try smolLM2.session()
    let ended = try await session.generate([1, 2, 3], maximumTokens: 1)
    #expect(try await ended.collected().count == 1)
    session.cancel()
    let replaced = try await session.generate([], maximumTokens: 5)
    let current = try await session.generate([4], maximumTokens: 3)
    // Tasks that hold old streams and are cancelled while the current one runs.
    for old in [ended, replaced] {
      let task = Task {
        while !Task.isCancelled { await Task.yield() }
        return try await old.collected().count
      }
      task.cancel()
      #expect(try await task.value == 0)
    }
    #expect(try await current.collected().count == 3)
  }

  @Test("between the bytes of a character: its rest arrives with the stream that goes on")
  func insideCharacter() async throws {
    let prompt = [1, 2, 3]
    let ids = try await TestModel.tiny().session().generate(prompt, maximumTokens: 8)
      .collected().ids
    // The answer's first four tokens are the bytes of one character.
    try #require(Set(ids.prefix(4)).count == 4)
    let bytes = zip(ids, ["ð", "Ł", "¦", "ľ"])
    let model = try TestModel.tiny(texts: Dictionary(uniqueKeysWithValues: bytes))
    let wanted = try await model.session().generate(prompt, maximumTokens: 8).collected()
    #expect(wanted.prefix(4).map(\.text) == ["", "", "", "🦜"])
    for cut in 1...3 {
      let session = try model.session()
      let stream = try await session.generate(prompt, maximumTokens: 8)
      let begun = try await stream.collected(cut)
      session.cancel()
      let rest = try await session.generate([], maximumTokens: 8 - cut).collected()
      #expect(begun + rest == wanted)
    }
  }
}
