import ModelFiles
import Models
import StreamingAttention
import TestSupport
import Testing

@testable import Generation

/// Sessions that are saved and go on in another one.
@Suite("Saved sessions")
struct SessionSnapshotTests {
  let folder: TemporaryFolder
  let tiny: TestModel
  var path: String { folder.path + "/session" }

  init() throws {
    folder = try TemporaryFolder()
    tiny = try TestModel.tiny()
  }

  private func sampling(seed: UInt64 = 3) throws -> Sampling {
    try Sampling(temperature: 1.3, topP: 0.98, repetitionPenalty: 1.1, seed: seed)
  }

  @Test("go on as if they had never stopped, wherever they did", arguments: [1, 2, 13, 40])
  func continuation(stop: Int) async throws {
    let session = try tiny.session(sampling: try sampling())
    _ = try await session.generate([5, 9, 2, 77], maximumTokens: stop).collected()
    try await session.save(to: path)
    let other = try tiny.session(sampling: try sampling())
    try await other.restore(from: path)
    #expect(await other.tokens == session.tokens)
    for prompt in [[], [3, 4], Array(1...70)] {
      let expected = try await session.generate(prompt, maximumTokens: 12).collected()
      let found = try await other.generate(prompt, maximumTokens: 12).collected()
      #expect(found == expected)
      #expect(await other.latestLogits.map(\.bitPattern) == session.latestLogits.map(\.bitPattern))
    }
    // And so on, now from the second.
    try await other.save(to: path)
    let third = try tiny.session(sampling: try sampling())
    try await third.restore(from: path)
    let expected = try await session.generate([], maximumTokens: 9).collected()
    #expect(try await third.generate([], maximumTokens: 9).collected() == expected)
  }

  @Test("may be saved inside an answer, inside a character, and before anything was read")
  func early() async throws {
    let session = try tiny.session()
    try await session.save(to: path)
    let empty = try tiny.session()
    try await empty.restore(from: path)
    #expect(await empty.tokens.isEmpty)
    await #expect(throws: GenerationError.emptyPrompt) {
      try await empty.generate([], maximumTokens: 1)
    }
    _ = try await session.generate([1, 2, 3], maximumTokens: 0).collected()
    try await session.save(to: path)
    try await empty.restore(from: path)
    #expect(await empty.readCount == 0)
    let expected = try await session.generate([], maximumTokens: 6).collected(3)
    let found = try await empty.generate([], maximumTokens: 6).collected(3)
    #expect(found == expected)
    try await session.save(to: path)
    let other = try tiny.session()
    try await other.restore(from: path)
    let rest = try await session.generate([], maximumTokens: 5).collected()
    #expect(try await other.generate([], maximumTokens: 5).collected() == rest)
  }

  @Test("of another seed begin their random choices anew")
  func otherSeed() async throws {
    let session = try tiny.session(sampling: try sampling())
    _ = try await session.generate([5, 9], maximumTokens: 20).collected()
    try await session.save(to: path)
    var texts: [[Int]] = []
    for seed in [3, 4, 4] as [UInt64] {
      let other = try tiny.session(sampling: try sampling(seed: seed))
      try await other.restore(from: path)
      texts.append(try await other.generate([], maximumTokens: 20).collected().map(\.id))
    }
    #expect(texts[1] == texts[2] && texts[0] != texts[1])
  }

  @Test("that another session has replaced are not replaced unless that is wanted")
  func replaced() async throws {
    let first = try tiny.session()
    _ = try await first.generate([5, 9, 4], maximumTokens: 3).collected()
    try await first.save(to: path, replacesOthers: false)
    let second = try tiny.session()
    try await second.restore(from: path)
    let stranger = try tiny.session()
    for session in [first, second] {
      _ = try await session.generate([7], maximumTokens: 3).collected()
    }
    try await second.save(to: path, replacesOthers: false)
    for session in [first, stranger] {
      await #expect(throws: GenerationError.snapshot(.replaced(path: path))) {
        try await session.save(to: path, replacesOthers: false)
      }
    }
    try await stranger.restore(from: path)
    #expect(await stranger.tokens == second.tokens)
    try await first.save(to: path)
    try await first.save(to: path, replacesOthers: false)
  }

  @Test("of dynamic scaling say which maximum context they were made with")
  func otherContext() async throws {
    let model = try DecoderModel(
      file: try GGUFFile(path: Fixtures.path("tiny/llama_default/llama_default.gguf")),
      weightType: .float32, scaling: .dynamicNTK(factor: 4, originalContext: 32), workers: .shared)
    func session(_ maximumContext: Int) throws -> Session {
      try Session(model: model, tokenizer: tiny.tokenizer, maximumContext: maximumContext)
    }
    let saved = try session(100)
    _ = try await saved.generate([5, 9, 4], maximumTokens: 3).collected()
    try await saved.save(to: path)
    let error = GenerationError.otherFrequencies(path: path, received: 100, allowed: 120)
    await #expect(throws: error) { try await session(120).restore(from: path) }
    #expect(
      "\(error)".hasSuffix(
        "with a maximum context of 100, not 120, and dynamic scaling depends on that: use the maximum context and the "
          + "scaling that it was made with"))
    try await session(100).restore(from: path)
    // With the same context it is another scaling that differs.
    let plain = try tiny.session(maximumContext: 100)
    await #expect(throws: GenerationError.snapshot(.frequencies(layer: 0, epoch: 1))) {
      try await plain.restore(from: path)
    }
  }

  @Test("of version 1 do not say their maximum context")
  func versionOne() throws {
    var state = SessionState(
      maximumContext: 77, fingerprint: 1, isConversation: true, seed: 2, randomState: 3,
      heldBytes: [0xE2], readCount: 1, tokens: [5, 6])
    var bytes = state.bytes
    #expect(SessionState(bytes, vocabularySize: 7) == state)
    // A count of bytes and "session" stand before the version.
    let version = 8 + "session".utf8.count
    bytes[version] = 1
    bytes.removeSubrange(version + 8..<version + 16)
    state.maximumContext = 0
    #expect(SessionState(bytes, vocabularySize: 7) == state)
    for other in [0, 3] as [UInt8] {
      bytes[version] = other
      #expect(SessionState(bytes, vocabularySize: 7) == nil)
    }
  }

  @Test("of another model, of none, or too long are refused, and the session is as it was")
  func refusals() async throws {
    let session = try tiny.session()
    _ = try await session.generate([5, 9, 4], maximumTokens: 20).collected()
    try await session.save(to: path)
    let short = try tiny.session(maximumContext: 22)
    await #expect(throws: GenerationError.contextExceeded(received: 23, allowed: 22)) {
      try await short.restore(from: path)
    }
    #expect(await short.tokens.isEmpty)
    let others = try TestModel.tiny(Fixtures.path("tiny/qwen2/qwen2.gguf"))
    let other = try others.session()
    await #expect(throws: GenerationError.otherModel(path: path)) {
      try await other.restore(from: path)
    }
    let missing = folder.path + "/missing"
    await #expect(throws: GenerationError.snapshot(.notFound(path: missing))) {
      try await session.restore(from: missing)
    }
    let cache = try KVCache(
      layers: tiny.model.cacheShapes(keyType: .float16, valueType: .float16),
      memoryLimit: 64 << 20)
    let bare = folder.path + "/bare"
    try SnapshotStore(path: bare).save(cache, attachment: [1, 2, 3])
    await #expect(throws: GenerationError.notSession(path: bare)) {
      try await session.restore(from: bare)
    }
    #expect(await session.tokens.count == 23)
    #expect(try await session.generate([], maximumTokens: 2).collected().count == 2)
  }
}
