import Generation
import Models
import StreamingAttention
import TestSupport
import Testing

@Suite("A session's memory limit")
struct MemoryLimitTests {
  private let tiny: TestModel

  init() throws { tiny = try TestModel.tiny() }

  private func session(_ memoryLimit: Int?) throws -> Session {
    try Session(model: tiny.model, tokenizer: tiny.tokenizer, memoryLimit: memoryLimit)
  }

  @Test("must be positive", arguments: [0, -1])
  func invalid(limit: Int) throws {
    #expect(
      throws: GenerationError.model(.attention(.cache(.invalidMemoryLimit(received: limit))))
    ) { try session(limit) }
  }

  @Test("undoes the step that would pass it, and the session can be saved and go on elsewhere")
  func tooSmall() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/session"
    let session = try session(4_096)
    let prompt = [5, 9, 4]
    for tokens in [prompt, []] {
      let stream = try await session.generate(tokens, maximumTokens: 8)
      do {
        _ = try await stream.collected()
        Issue.record("the prompt fits")
      } catch {
        guard
          case .model(.attention(.cache(.outOfMemory(needed: let needed, allowed: 4_096)))) = error
        else {
          Issue.record("\(error)")
          continue
        }
        // Which is enough for as many tokens.
        let fresh = try await self.session(needed).generate(prompt, maximumTokens: 8).collected()
        #expect(fresh.count == 8)
      }
      #expect(await session.tokens == prompt)
      #expect(await session.readCount == 0)
    }
    try await session.save(to: path)
    let other = try self.session(nil)
    try await other.restore(from: path)
    let expected = try await self.session(nil).generate(prompt, maximumTokens: 8).collected()
    #expect(try await other.generate([], maximumTokens: 8).collected() == expected)
    // What it holds now is too much for the first.
    try await other.save(to: path)
    do {
      try await session.restore(from: path)
      Issue.record("the session fits")
    } catch {
      guard case .snapshot(.cache(.outOfMemory(needed: let needed, allowed: 4_096))) = error else {
        Issue.record("\(error)")
        return
      }
      try await self.session(needed).restore(from: path)
    }
    #expect(await session.tokens == prompt)
  }
}
