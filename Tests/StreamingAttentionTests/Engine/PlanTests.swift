import TestSupport
import Testing

@testable import StreamingAttention

@Suite("The plan of a step")
struct PlanTests {
  private static let example = AttentionCase(
    keyType: .float16, valueType: .float16, group: 4, kvHeads: 3, length: 5000, rows: 1, seed: 81)

  /// What a plan holds, in arrays.
  private struct Listing {
    var requests: [PlannedRequest]
    var positions: [Int]
    var tables: [PlannedTable]
    var leaves: [PlannedLeaf]
    var jobs: [PlannedJob]
    var tiles: [PlannedTile]
    var counterCount: Int
    var stateFloats: Int

    init(_ plan: borrowing Plan) {
      requests = plan.requests.withSpan { span in span.indices.map { span[$0] } }
      positions = plan.positions.withSpan { span in span.indices.map { span[$0] } }
      tables = plan.tables.withSpan { span in span.indices.map { span[$0] } }
      leaves = plan.leaves.withSpan { span in span.indices.map { span[$0] } }
      jobs = plan.jobs.withSpan { span in span.indices.map { span[$0] } }
      tiles = plan.tiles.withSpan { span in span.indices.map { span[$0] } }
      (counterCount, stateFloats) = (plan.counterCount, plan.stateFloats)
    }
  }

  /// The plan of a step over sequences of these lengths, with 12 query heads on 3 KV heads, causal unless there is a right
  /// window.
  private static func plan(
    _ requests: [(length: Int, tokens: Int, rows: Int)], window: Int? = nil,
    rightWindow: Int? = nil, workerCount: Int
  ) throws -> Listing {
    let cache = try EngineHarness.cache(example)
    var steps: [StepRequest] = []
    for request in requests {
      let sequence = try cache.makeSequence()
      cache.commit(try cache.reserve([SlotRequest(sequence, appending: request.length)]))
      steps.append(StepRequest(sequence, appending: request.tokens, querying: request.rows))
    }
    _ = try cache.reserve(steps.map { SlotRequest($0.sequence, appending: $0.tokenCount) })
    let shape = PlanShape(
      table: 0, queryHeads: 12, kvHeads: 3, keyWidth: 64, valueWidth: 64,
      isCausal: rightWindow == nil, window: window ?? .max, rightWindow: rightWindow ?? .max)
    var plan = try Plan()
    try plan.list(steps, in: cache)
    try plan.cutTiles(shapes: [shape], workerCount: workerCount)
    return Listing(plan)
  }

  @Test(
    "gives every row and KV head each leaf that it sees, once",
    arguments: [1, 2, 3, 8, 64],
    [(nil, nil), (1, nil), (100, nil), (3000, nil), (nil, 0), (nil, 200), (100, 40)]
      as [(Int?, Int?)])
  func coverage(workerCount: Int, windows: (left: Int?, right: Int?)) throws {
    let requests = [
      (4999, 1, 1), (0, 300, 300), (700, 70, 5), (0, 0, 3), (64, 2, 0), (0, 2000, 2000),
    ]
    let plan = try Self.plan(
      requests, window: windows.left, rightWindow: windows.right, workerCount: workerCount)
    // How often: [request, row, KV head, leaf] and [request, row, KV head].
    var seen: [[Int]: Int] = [:]
    var begun: [[Int]: Int] = [:]
    for tile in plan.tiles {
      let job = plan.jobs[tile.job]
      #expect(job.queryCount * 4 <= Plan.rowsPerJob)
      for row in job.firstQuery..<job.firstQuery + job.queryCount {
        if tile.rank == 0 {
          begun[[job.request, row, job.kvHead], default: 0] += 1
        }
        for leaf in tile.firstLeaf..<tile.firstLeaf + tile.leafCount {
          seen[[job.request, row, job.kvHead, leaf], default: 0] += 1
        }
      }
    }
    #expect(seen.values.allSatisfy { $0 == 1 })
    #expect(begun.values.allSatisfy { $0 == 1 })
    #expect(begun.count == (1 + 300 + 5 + 3 + 2000) * 3)
    for (r, request) in plan.requests.enumerated() {
      let table = plan.tables[r]
      for row in 0..<request.queryCount {
        let position = plan.positions[request.queryPosition + row]
        for leaf in table.firstLeaf..<table.firstLeaf + table.leafCount {
          let isSeen =
            plan.leaves[leaf].firstPosition - position <= windows.right ?? 0
            && position - plan.leaves[leaf].lastPosition < windows.left ?? .max
          if isSeen {
            for head in 0..<3 { #expect(seen[[r, row, head, leaf]] == 1) }
          }
        }
      }
    }
  }

  @Test("cuts a single long decode finely enough for all workers")
  func decode() throws {
    // Eight leaves of 1,024 tokens for each of three KV heads.
    let shared = try Self.plan([(7_999, 1, 1)], workerCount: 4)
    #expect(shared.tiles.count == 24)
    // One for each join of two of a head's eight tiles.
    #expect(shared.counterCount == 3 * 7)
    // Five of 1,024 tokens, five of 2,048.
    for length in [4_999, 9_999] {
      #expect(try Self.plan([(length, 1, 1)], workerCount: 4).tiles.count == 15)
    }
    let alone = try Self.plan([(4999, 1, 1)], workerCount: 1)
    #expect(alone.tiles.count == 3 && alone.counterCount == 0 && alone.stateFloats == 0)
  }

  @Test(
    "lets no tile of a ragged batch take more than its part of a worker's share, and the last ones less",
    arguments: [2, 3, 7])
  func balance(workerCount: Int) throws {
    // Leaves of 32 entries for the long one, of 8 for the others.
    for long in [0, 15, 31] {
      let lengths = (0..<32).map { $0 == long ? 65_535 : 1_023 }
      let plan = try Self.plan(
        lengths.map { (length: $0, tokens: 1, rows: 1) }, workerCount: workerCount)
      let costs = plan.tiles.map { tile in
        (tile.firstLeaf..<tile.firstLeaf + tile.leafCount).reduce(0) {
          $0 + plan.leaves[$1].entryCount
        }
      }
      let total = costs.reduce(0, +)
      #expect(total == 3 * (1024 + 31 * 16))
      #expect(costs.allSatisfy { $0 <= max(total / (24 * workerCount), 32) })
      for (place, cost) in costs.enumerated() {
        #expect(costs[place...].allSatisfy { $0 < 2 * cost }, "place \(place)")
      }
      // The long sequence's tiles are neighbours in memory as far as they go.
      let own = plan.tiles.filter {
        plan.jobs[$0.job].request == long && plan.jobs[$0.job].kvHead == 0
      }
      #expect(zip(own, own.dropFirst()).allSatisfy { $0.firstLeaf + $0.leafCount == $1.firstLeaf })
    }
  }

  @Test("puts rows at the newest tokens, those before the first at the positions before it")
  func positions() throws {
    let plan = try Self.plan([(3, 2, 2), (1, 0, 4), (0, 0, 2)], workerCount: 1)
    let rows = plan.requests.map { request in
      (0..<request.queryCount).map { plan.positions[request.queryPosition + $0] }
    }
    #expect(rows == [[3, 4], [-3, -2, -1, 0], [-2, -1]])
  }
}
