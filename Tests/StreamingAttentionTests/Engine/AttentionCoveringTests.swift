import Foundation
import StreamingAttention
import TestSupport
import Testing

/// The long run of `tools/test --full`.
@Suite(
  "Attention against its slow twin, for an hour",
  .enabled(if: ProcessInfo.processInfo.environment["ATTEND_COVERING"] == "full"), .serialized)
struct AttentionCoveringTests {
  static let seed: UInt64 = 20_261_126

  /// Minutes that the triples and the random cases may take together.
  static let minutes =
    ProcessInfo.processInfo.environment["ATTEND_COVERING_MINUTES"].flatMap { Double($0) } ?? 60

  @Test("every triple of factor levels, then random cases, are within the derived bound")
  func triples() async throws {
    let start = ContinuousClock.now
    let triples = Covering.triples(of: AttentionFactors.counts, seed: Self.seed)
    var cases = triples.enumerated().map { AttentionFactors.example($1, seed: UInt64($0)) }
    // The largest last, so that they do not meet on all threads at once at the end.
    cases.sort { $0.length * $0.keyWidth < $1.length * $1.keyWidth }
    var search = try await Self.run(Array(cases.reversed()))
    print("triples: seed \(Self.seed), \(search), \(ContinuousClock.now - start)")
    var generator = SeededGenerator(seed: Self.seed, stream: 1)
    while ContinuousClock.now - start < .seconds(60 * Self.minutes) {
      let cases = (0..<64).map { number in
        AttentionFactors.random(
          using: &generator, seed: UInt64(search.count + number))
      }
      search.merge(try await Self.run(cases))
    }
    print("all: seed \(Self.seed), \(search), \(ContinuousClock.now - start)")
  }

  /// Runs cases side by side, one thread each.
  private static func run(_ cases: [AttentionCase]) async throws -> WorstCase {
    let threads = ProcessInfo.processInfo.activeProcessorCount
    return try await withThrowingTaskGroup(of: WorstCase.self) { group in
      for thread in 0..<threads {
        group.addTask {
          var search = WorstCase()
          for number in stride(from: thread, to: cases.count, by: threads) {
            try search.try(cases[number])
          }
          return search
        }
      }
      var all = WorstCase()
      for try await search in group { all.merge(search) }
      return all
    }
  }
}
