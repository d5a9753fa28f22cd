import TestSupport
import Testing

@testable import StreamingAttention

/// Forks that decode in one step read the leaves that they share once, and nobody's bits notice.
@Suite("Forks in one step")
struct ForkBitsTests {
  /// Forks of forks with a different number of tokens of their own, rewound, shortened and moved ones, and a stranger.
  private struct Family {
    let harness: EngineHarness
    var requests: [HarnessRequest] = []

    /// `rows` for each member; those of odd places append as many tokens in the same step, the others one.
    init(_ example: AttentionCase, harness: EngineHarness, prefix: Int, rows: Int, seed: UInt64)
      throws
    {
      self.harness = harness
      let cache = harness.engine.cache
      var generator = SeededGenerator(seed: seed)
      let trunk = try harness.fill(example, prefix)
      var members: [(sequence: SequenceID, example: AttentionCase, length: Int)] = [
        (trunk, example, prefix)
      ]
      for number in 1..<9 {
        let parent = members[number < 4 ? 0 : Int.random(in: 0..<number, using: &generator)]
        var own = example
        own.seed = seed &+ UInt64(number) &* 8
        var member = (try cache.fork(parent.sequence), own, 0)
        switch number {
        case 3 where example.masking.window == nil:
          try cache.truncate(member.0, to: prefix - 70)
        case 5: try cache.rebase(member.0, by: 64)
        case 6 where example.masking.window == nil:
          try cache.remove(100..<300, from: member.0)
        default: break
        }
        member.2 = try cache.length(of: member.0)
        let grown = [0, 1, 5, 70, 130, 200][Int.random(in: 0..<6, using: &generator)]
        if grown > 0 {
          let tokens = member.2..<member.2 + grown
          _ = try harness.step([HarnessRequest(member.0, own, tokens: tokens, rows: 0..<0)])
          member.2 += grown
        }
        members.append(member)
      }
      var stranger = example
      stranger.seed = seed &+ 800
      members.append((try harness.fill(stranger, 130), stranger, 130))
      requests = members.enumerated().map { number, member in
        HarnessRequest(
          member.sequence, member.example,
          tokens: member.length..<member.length + (number % 2 == 1 ? rows : 1),
          rows: 0..<(number == 7 ? 2 * rows : rows))
      }
    }
  }

  /// Steps of all members at once have the bits of each alone, with fewer bytes read.
  private func compare(_ example: AttentionCase, prefix: Int, rows: Int, seed: UInt64) throws {
    let harness = try EngineHarness(example)
    let family = try Family(example, harness: harness, prefix: prefix, rows: rows, seed: seed)
    var (alone, bytes) = ([AttentionResult](), 0)
    for request in family.requests {
      alone += try harness.step([request], commits: false)
      bytes += harness.report.keyValueBytesRead
    }
    for count in [1, 3] {
      let threads = ProvidedThreads(count: count, sharing: .firstCome)
      let shared = try EngineHarness(
        example, cache: harness.engine.cache, workers: threads.workers)
      let together = try shared.step(family.requests, commits: false)
      for number in alone.indices {
        #expect(together[number] == alone[number], "member \(number), \(count) workers")
      }
      // A layer with a horizon reads each sequence by itself, and all leaves of a short window hold tokens of their own.
      if example.positions != .alibi, example.positions != .rotaryALiBi, example.masking != .window
      {
        #expect(shared.report.keyValueBytesRead < bytes)
      }
      let reversed = try shared.step(family.requests.reversed(), commits: false)
      for number in alone.indices {
        #expect(reversed[alone.count - 1 - number] == alone[number], "member \(number), reversed")
      }
      #expect(threads.stop())
    }
  }

  @Test(
    "have the bits that each has alone",
    arguments: zip(AttentionBitsTests.kinds, AttentionBitsTests.kinds.indices))
  func kinds(_ example: AttentionCase, number: Int) throws {
    var example = example
    (example.base, example.keyWidth, example.valueWidth) = (259_000, 31, 21)
    try compare(example, prefix: 1_100, rows: 1 + number % 3, seed: 21)
  }

  @Test("have them with every mask and encoding", arguments: AttentionBitsTests.maskings, [1, 3])
  func maskings(_ example: AttentionCase, rows: Int) throws {
    try compare(example, prefix: 1_230, rows: rows, seed: 22)
  }

  @Test(
    "have them with quantised pages, few rows and many", arguments: AttentionBitsTests.quantized,
    [1, 5])
  func quantized(_ example: AttentionCase, rows: Int) throws {
    var example = example
    example.base = 260_000
    try compare(example, prefix: 1_100, rows: rows, seed: 26)
  }

  @Test(
    "have them step after step, while the lists of their pages are carried on",
    arguments: [
      (ElementType.float32, ElementType.float16), (.bfloat16, .float32), (.int8, .int4),
    ])
  func growth(_ keyType: ElementType, _ valueType: ElementType) throws {
    let example = AttentionCase(
      instructionSet: .detected, keyType: keyType, valueType: valueType, group: 2, keyWidth: 16,
      valueWidth: 16, length: 4_000, base: 258_000, rows: 1, seed: 61)
    let harness = try EngineHarness(example)
    let trunk = try harness.fill(example, 1_000)
    var members = try (0..<5).map { number in
      var own = example
      own.seed = 62 + UInt64(number) / 2 * 8
      return (sequence: try harness.engine.cache.fork(trunk), example: own, length: 1_000)
    }
    for step in 0..<150 {
      let requests = members.enumerated().map { number, member in
        let count = step % 40 == 39 ? 30 * number : 1
        return HarnessRequest(
          member.sequence, member.example, tokens: member.length..<member.length + count,
          rows: 0..<1)
      }
      if step % 10 == 0 || step % 40 == 39 {
        let together = try harness.step(requests, commits: false)
        for (number, request) in requests.enumerated() {
          let single = try EngineHarness(example, cache: harness.engine.cache)
          #expect(
            try single.step([request], commits: false) == [together[number]],
            "member \(number) in step \(step)")
        }
      }
      _ = try harness.step(requests)
      for number in members.indices { members[number].length += requests[number].tokens.count }
      if step == 100 {
        try harness.engine.cache.drop(members[2].sequence)
        members[2] = members[4]
        members[2].sequence = try harness.engine.cache.fork(members[4].sequence)
      }
    }
    #expect(harness.engine.cache.checkInvariants() == [])
  }

  @Test("have them with ALiBi where nothing is left out, and with an additive bias")
  func biases() throws {
    var example = AttentionCase(
      instructionSet: .detected, keyType: .bfloat16, valueType: .float16, group: 3, keyWidth: 32,
      valueWidth: 48, length: 4_000, rows: 1, seed: 31)
    example.bias = .perHead
    try compare(example, prefix: 1_400, rows: 1, seed: 23)
    example.bias = .shared
    try compare(example, prefix: 1_400, rows: 1, seed: 24)

    example.bias = nil
    example.positions = .rotaryALiBi
    var layer = try example.layer()
    layer.alibiEpsilon = 0
    let harness = try EngineHarness(example, layer: layer)
    let family = try Family(example, harness: harness, prefix: 1_400, rows: 1, seed: 25)
    var (alone, bytes) = ([AttentionResult](), 0)
    for request in family.requests {
      alone += try harness.step([request], commits: false)
      bytes += harness.report.keyValueBytesRead
    }
    #expect(try harness.step(family.requests, commits: false) == alone)
    #expect(harness.report.keyValueBytesRead < bytes)
  }

  @Test("have them in any family, and beyond 8,192 tokens", arguments: 0..<12)
  func families(number: Int) throws {
    var example = AttentionCase(
      instructionSet: .detected, keyType: AttentionFactors.types[number % 3],
      valueType: AttentionFactors.types[number / 3 % 3], group: 1 + number % 4, kvHeads: 2,
      keyWidth: 16, valueWidth: 16, length: 20_000, base: 1000 * number, rows: 1, seed: 41)
    example.keyDeviation = 0.5
    try compare(
      example, prefix: number % 3 == 0 ? 8_900 : 800 + 517 * number, rows: 1,
      seed: 100 + UInt64(number))
  }

  @Test("read a prefix once: a page counts once for each KV head, whatever the number of forks")
  func bytes() throws {
    let example = AttentionCase(
      instructionSet: .detected, keyType: .float16, valueType: .float16, group: 4, kvHeads: 3,
      keyWidth: 32, valueWidth: 32, length: 4_000, rows: 1, seed: 51)
    let harness = try EngineHarness(example)
    let cache = harness.engine.cache
    let trunk = try harness.fill(example, 4_096)
    let pageBytes = cache.layout(ofLayer: 0).pageBytes
    // Eight leaves of eight entries are shared; each fork has a page of its own.
    for count in [1, 2, 8, 48, 96, 100] {
      let forks = try (0..<count).map { _ in try cache.fork(trunk) }
      let requests = forks.map {
        HarnessRequest($0, example, tokens: 4_096..<4_097, rows: 4_096..<4_097)
      }
      let results = try harness.step(requests, commits: false)
      #expect(results.allSatisfy { $0 == results[0] })
      // 96 forks have 384 rows for each KV head: a pass takes no more.
      let passes = (count + 95) / 96
      #expect(harness.report.keyValueBytesRead == 3 * (64 * passes + count) * pageBytes)
      for fork in forks { try cache.drop(fork) }
    }
    #expect(cache.checkInvariants() == [])
  }
}
