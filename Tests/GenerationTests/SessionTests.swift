import Foundation
import Generation
import ModelFiles
import Models
import StreamingAttention
import Synchronization
import TestSupport
import Testing
import Tokenization

/// What a session says yes and no to, and where answers end.
@Suite("Session")
struct SessionTests {
  let tiny: TestModel

  init() throws { tiny = try TestModel.tiny() }

  @Test("an answer ends with the context, to the token", arguments: [1, 7, 16])
  func contextEnd(promptCount: Int) async throws {
    let session = try tiny.session(maximumContext: 17)
    let answer = try await session.generate(Array(1...promptCount), maximumTokens: 100)
      .collected()
    #expect(answer.count == 17 - promptCount)
    #expect(await session.tokens.count == 17)
    // Nothing more fits, not even an answer's first token.
    await #expect(throws: GenerationError.contextExceeded(received: 17, allowed: 17)) {
      try await session.generate([], maximumTokens: 1)
    }
    await #expect(throws: GenerationError.contextExceeded(received: 19, allowed: 17)) {
      try await session.generate([1, 2], maximumTokens: 0)
    }
  }

  @Test("a context that holds nothing is refused", arguments: [0, -1, Int.min])
  func contextTooSmall(context: Int) throws {
    #expect(
      throws: GenerationError.model(
        .tooSmall(option: "the maximum context", received: context, allowed: 1))
    ) { try tiny.session(maximumContext: context) }
  }

  @Test("an extension of the context before it begins is refused")
  func extensionTooSmall() throws {
    #expect(
      throws: GenerationError.model(
        .tooSmall(option: "the context before its extension", received: -5, allowed: 0))
    ) { try Session(model: tiny.model, tokenizer: tiny.tokenizer, extensionStart: -5) }
  }

  @Test("as many tokens as there can be, or fewer than none, may be wanted")
  func extremeCounts() async throws {
    let session = try tiny.session(maximumContext: .max)
    #expect(try await session.generate([1, 2], maximumTokens: .max).collected(3).count == 3)
    for count in [-1, Int.min] {
      #expect(try await session.generate([3], maximumTokens: count).collected().isEmpty)
    }
    #expect(try await session.generate([], maximumTokens: 2).collected().count == 2)
  }

  @Test("a prompt longer than the context is refused, and the session is as before")
  func contextExceeded() async throws {
    let session = try tiny.session(maximumContext: 8)
    await #expect(throws: GenerationError.contextExceeded(received: 9, allowed: 8)) {
      try await session.generate(Array(repeating: 1, count: 9), maximumTokens: 1)
    }
    #expect(await session.tokens == [])
    #expect(try await session.generate([1, 2], maximumTokens: 1).collected().count == 1)
  }

  @Test("no token is wanted: nothing is read, and the prompt stays in line")
  func noTokens() async throws {
    let session = try tiny.session()
    #expect(try await session.generate([1, 2, 3], maximumTokens: 0).collected().isEmpty)
    #expect(await session.readCount == 0)
    let fresh = try await tiny.session().generate([1, 2, 3], maximumTokens: 4).collected()
    #expect(try await session.generate([], maximumTokens: 4).collected() == fresh)
  }

  @Test("an empty prompt is refused, unless tokens wait to be read")
  func emptyPrompt() async throws {
    let session = try tiny.session()
    await #expect(throws: GenerationError.emptyPrompt) {
      try await session.generate([], maximumTokens: 4)
    }
    _ = try await session.generate([5], maximumTokens: 4).collected()
    #expect(try await session.generate([], maximumTokens: 4).collected().count == 4)
  }

  @Test("a token outside of the vocabulary is refused", arguments: [-1, 128, Int.max])
  func tokenOutOfRange(token: Int) async throws {
    let session = try tiny.session()
    await #expect(
      throws: GenerationError.model(.tokenOutOfRange(received: token, allowed: 0..<128))
    ) {
      try await session.generate([3, token], maximumTokens: 4)
    }
    #expect(await session.tokens == [])
  }

  @Test("logits that are not numbers are an error that names the token")
  func notANumber() async throws {
    let path = Fixtures.path("tiny/llama_default/llama_default.gguf")
    let norm = try GGUFFile(path: path).tensor("output_norm.weight")
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    for index in norm.byteRange { bytes[index] = 0xFF }
    let folder = try TemporaryFolder()
    let broken = try TestModel.tiny(try folder.write(bytes, to: "nan.gguf"))
    let session = try broken.session()
    let stream = try await session.generate([1, 2, 3], maximumTokens: 4)
    for _ in 0..<2 {
      await #expect(throws: GenerationError.sampling(.notANumber(token: 0))) {
        try await stream.collected()
      }
    }
  }

  @Test("an answer ends at an end token, which has no text; or goes on where that is asked for")
  func endToken() async throws {
    let free = try await tiny.session().generate([1, 2, 3], maximumTokens: 20).collected()
    let end = free[7].id
    let first = try #require(free.firstIndex { $0.id == end })
    let model = try TestModel.tiny(endTokens: [end])
    let session = try model.session()
    let answer = try await session.generate([1, 2, 3], maximumTokens: 20).collected()
    #expect(answer.ids == Array(free.ids[...first]))
    #expect(answer.map(\.isEnd) == Array(repeating: false, count: first) + [true])
    #expect(answer.text == free[..<first].map(\.text).joined())
    let through = try await model.session()
      .generate([1, 2, 3], maximumTokens: 20, stopsAtEnd: false).collected()
    #expect(through.ids == free.ids)
  }

  @Test("a later stream ends the one before")
  func replaced() async throws {
    let session = try tiny.session()
    let first = try await session.generate([1, 2, 3], maximumTokens: 9)
    #expect(try await first.collected(2).count == 2)
    let second = try await session.generate([4], maximumTokens: 2)
    #expect(try await first.collected().isEmpty)
    #expect(try await second.collected().count == 2)
    #expect(await session.tokens.count == 3 + 2 + 1 + 2)
  }

  @Test("figures count what a stream did")
  func figures() async throws {
    let session = try tiny.session()
    let progress = Mutex<[Int]>([])
    let prompt = (0..<1_100).map { $0 % 128 }
    let stream = try await session.generate(prompt, maximumTokens: 3) { count in
      progress.withLock { $0.append(count) }
    }
    _ = try await stream.collected()
    #expect(progress.withLock(\.self) == [512, 1_024, 1_100])
    let figures = await session.figures
    #expect(figures.promptTokens == 1_100)
    #expect(figures.answerTokens == 3)
    #expect(figures.promptTime > .zero && figures.answerTime > .zero)
    #expect(figures.timeToFirstToken >= figures.promptTime)
    #expect(figures.promptRate > 0 && figures.answerRate > 0)
    #expect(figures.peakCacheBytes > 0)
  }
}
