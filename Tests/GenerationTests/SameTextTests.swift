import Foundation
import Generation
import StreamingAttention
import TestSupport
import Testing
import Tokenization

/// What a text depends on, and what it does not.
@Suite("Same text", .serialized)
struct SameTextTests {
  let smolLM2: TestModel
  let prompt: [Int]

  init() throws {
    smolLM2 = try TestModel.smolLM2.get()
    prompt = smolLM2.tokenizer.encode("Row, row, row your boat. Row, row,", specialTokens: .asText)
  }

  private func answer(
    _ sampling: Sampling, workers: Workers = .shared, count: Int = 12
  ) async throws -> (ids: [Int], logits: [Float]) {
    let session = try smolLM2.session(sampling: sampling, workers: workers)
    let ids = try await session.generate(prompt, maximumTokens: count, stopsAtEnd: false)
      .collected().ids
    return (ids, await session.latestLogits)
  }

  /// Workers whose threads all take part in every step, on any number of CPUs.
  private func withThreads<Value>(
    _ count: Int, _ body: (Workers) async throws -> Value
  ) async throws -> Value {
    let workers = Workers(count: count, executors: .provided, sharing: .everyWorkerOnce)
    for _ in 1..<count { Thread { workers.participate() }.start() }
    while workers.liveCount < count - 1 { try await Task.sleep(for: .milliseconds(1)) }
    defer { workers.stop() }
    let value = try await body(workers)
    #expect(workers.takenCounts.allSatisfy { $0 > 0 })
    return value
  }

  @Test("the same seed gives the same text on 1, 2 and 3 threads, to the last bit of the logits")
  func threads() async throws {
    let sampling = try Sampling(temperature: 1, topP: 0.95, seed: 11)
    let one = try await answer(sampling, workers: Workers(count: 1), count: 6)
    for count in 2...3 {
      let several = try await withThreads(count) {
        try await answer(sampling, workers: $0, count: 6)
      }
      #expect(several.ids == one.ids)
      // A difference of long arrays would take minutes to describe.
      let isSame = several.logits == one.logits
      #expect(isSame, "\(count) threads")
    }
    let again = try await answer(sampling, count: 6)
    #expect(again.ids == one.ids)
  }

  @Test("other seeds give other texts")
  func seeds() async throws {
    var texts = Set<[Int]>()
    for seed in 0..<3 as Range<UInt64> {
      texts.insert(try await answer(Sampling(temperature: 1, seed: seed)).ids)
    }
    #expect(texts.count == 3)
  }

  @Test("top k 1, min p 1 and a small top p are greedy; a penalty is not")
  func options() async throws {
    let greedy = try await answer(.greedy).ids
    #expect(try await answer(Sampling(temperature: 5, topK: 1)).ids == greedy)
    #expect(try await answer(Sampling(temperature: 5, minP: 1)).ids == greedy)
    #expect(try await answer(Sampling(temperature: 5, topP: 1e-9)).ids == greedy)
    #expect(try await answer(Sampling(temperature: 5)).ids != greedy)
    let penalised = try await answer(Sampling(temperature: 0, repetitionPenalty: 100)).ids
    // With so much of a penalty no token comes twice, of the prompt's neither.
    #expect(Set(penalised).count == penalised.count)
    #expect(Set(penalised).isDisjoint(with: prompt))
    #expect(Set(greedy).count < greedy.count || !Set(greedy).isDisjoint(with: prompt))
  }

  @Test("texts are whole characters, and together what all tokens decode to")
  func characters() async throws {
    struct Prompt: Decodable { let prompt_ids: [Int] }
    let ids = try Fixtures.json("real/smollm2_greedy_unicode.json", as: Prompt.self).prompt_ids
    var heldBack = 0
    // So hot that nearly every token is drawn, parts of characters among them: by which seeds depends on the last bits of the logits.
    for seed in 0..<64 as Range<UInt64> where seed < 4 || heldBack == 0 {
      let session = try smolLM2.session(sampling: try Sampling(temperature: 3, seed: seed))
      let tokens = try await session.generate(ids, maximumTokens: 40, stopsAtEnd: false).collected()
      let bytes = try smolLM2.tokenizer.decode(tokens.ids)
      #expect(tokens.text == String(decoding: bytes, as: UTF8.self))
      heldBack += tokens.count { token in
        token.text.isEmpty && (try? smolLM2.tokenizer.bytes(of: token.id).isEmpty) == false
      }
    }
    #expect(heldBack > 0)
  }

  @Test("the greedy text of a prompt with many scripts goes on in whole characters to its end")
  func unicode() async throws {
    struct Run: Decodable {
      let prompt_ids: [Int]
      let steps: [Step]
      struct Step: Decodable {
        let id: Int
      }
    }
    let run = try Fixtures.json("real/smollm2_greedy_unicode.json", as: Run.self)
    let session = try smolLM2.session()
    let tokens = try await session.generate(run.prompt_ids, maximumTokens: 64).collected()
    let last = try #require(tokens.last)
    #expect(last.isEnd && last.text.isEmpty)
    let bytes = try smolLM2.tokenizer.decode(tokens.ids)
    #expect(tokens.text == String(decoding: bytes, as: UTF8.self))
    #expect(!tokens.text.contains("\u{FFFD}"))
  }
}
