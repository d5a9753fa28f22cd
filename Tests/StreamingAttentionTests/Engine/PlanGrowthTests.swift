import KernelTable
import TestSupport
import Testing

@testable import StreamingAttention

/// A plan carries its lists of pages on from step to step: they must be those of a plan made anew.
@Suite("The plan of a step after another one")
struct PlanGrowthTests {
  /// What a plan says of its page tables, wherever in its lists it stands.
  private struct Listing: Equatable {
    struct Table: Equatable {
      var entries: [LeafEntry] = []
      var unturned: [LeafEntry] = []
      var numbers: [Int] = []
      /// Each with its first entry counted from the table's own.
      var leaves: [[Int]] = []
      var runs: [PlannedRun] = []
      var scalars: [Int] = []
    }

    var tables: [Table] = []
    var positions: [Int] = []
    /// Each with its leaves counted from its request's first.
    var tiles: [[Int]] = []
    /// The first leaf that is equal to each, as its request and its place among that one's leaves.
    var leaders: [[Int]] = []

    init(_ plan: borrowing Plan) {
      for index in 0..<plan.tables.count {
        let listed = plan.tables[index]
        var table = Table()
        for place in listed.firstEntry..<listed.firstEntry + listed.entryCount {
          table.entries.append(plan.entries[place])
          if plan.unturnedEntries.count > 0 { table.unturned.append(plan.unturnedEntries[place]) }
          table.numbers.append(plan.numbers[place])
        }
        for place in listed.firstLeaf..<listed.firstLeaf + listed.leafCount {
          let leaf = plan.leaves[place]
          table.leaves.append([
            leaf.number, leaf.firstEntry - listed.firstEntry, leaf.entryCount, leaf.firstPosition,
            leaf.lastPosition,
          ])
        }
        table.runs = listed.runs.map { plan.runs[$0] }
        table.scalars = [listed.keptFrom, listed.keyCount, listed.firstBias]
        tables.append(table)
        guard plan.requests.count > 1 else { continue }
        let first = index / plan.requests.count * plan.requests.count
        for place in listed.firstLeaf..<listed.firstLeaf + listed.leafCount {
          let leader = Int(plan.sharing[place].leader)
          let request = Int(plan.sharing[leader].request)
          leaders.append([request, leader - plan.tables[first + request].firstLeaf])
        }
      }
      for index in 0..<plan.positions.count { positions.append(plan.positions[index]) }
      for index in 0..<plan.tiles.count {
        let tile = plan.tiles[index]
        let job = plan.jobs[tile.job]
        let own = plan.tables[plan.requests.count + job.request].firstLeaf
        tiles.append([tile.job, tile.index, tile.rank, tile.firstLeaf - own, tile.leafCount])
      }
    }
  }

  private static func cache() throws -> KVCache {
    func shape(kvHeads: Int, _ retention: Retention) -> LayerShape {
      LayerShape(
        kvHeads: kvHeads, keyWidth: 32, keyType: .float32, valueType: .float32,
        keyPositions: .rotary(pairs: 16, pairing: .halves), retention: retention)
    }
    let cache = try KVCache(
      layers: [shape(kvHeads: 1, .window(300)), shape(kvHeads: 3, .everything)], stripes: [nil],
      memoryLimit: 1 << 30)
    let rotary = try RotaryEmbedding(headDimension: 32, pairing: .halves)
    var layers = [
      LayerAttention(queryHeads: 1, window: 300, rotary: rotary),
      LayerAttention(queryHeads: 12, rotary: rotary),
    ]
    for layer in layers.indices { layers[layer].laterRotary = [rotary] }
    // The engine gives the cache what it needs to turn keys anew.
    _ = try AttentionEngine(cache: cache, layers: layers, workers: Workers(count: 1))
    return cache
  }

  private static let shape = PlanShape(
    table: 1, queryHeads: 12, kvHeads: 3, keyWidth: 32, valueWidth: 32, isCausal: true,
    window: .max)

  /// Something done to a cache between two steps.
  private static func edit(
    _ cache: KVCache, _ sequences: inout [SequenceID], using random: inout SeededGenerator
  ) throws {
    let index = Int.random(in: sequences.indices, using: &random)
    let sequence = sequences[index]
    let length = try cache.length(of: sequence)
    switch Int.random(in: 0..<7, using: &random) {
    case 0:
      sequences[(index + 1) % sequences.count] = try cache.fork(sequence)
    case 1:
      try? cache.truncate(sequence, to: Int.random(in: length * 3 / 4...length, using: &random))
    case 2:
      let first = Int.random(in: 0...length, using: &random)
      let end = Int.random(in: first...min(length, first + 200), using: &random)
      try? cache.remove(first..<end, from: sequence)
    case 3: try? cache.rebase(sequence, by: Int.random(in: 0...100, using: &random))
    case 4:
      try cache.setRotation(
        SequenceRotation(
          epoch: Int.random(in: 1...2, using: &random),
          keys: Bool.random(using: &random) ? .whenStored : .whenRead), of: sequence)
    case 5:
      try cache.drop(sequence)
      sequences[index] = try cache.makeSequence()
    default: sequences.swapAt(0, index)
    }
  }

  @Test("lists the pages as a new plan does", arguments: 1...8)
  func agreesWithANewPlan(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let cache = try Self.cache()
    var sequences = [try cache.makeSequence(), try cache.makeSequence(startingAt: 262_000)]
    if seed % 2 == 0 { sequences.append(try cache.makeSequence()) }
    var kept = try Plan()
    var (grown, shared) = (0, 0)
    for step in 0..<400 {
      // Mostly nothing but growth, by single tokens or so many that leaves change their size.
      let largest = step % 50 == 49 ? 3_000 : step % 10 == 9 ? 130 : 1
      let steps = sequences.map {
        StepRequest(
          $0, appending: Int.random(in: 0...largest, using: &random),
          querying: Int.random(in: 0...2, using: &random))
      }
      let reservation = try cache.reserve(
        steps.map { SlotRequest($0.sequence, appending: $0.tokenCount) })
      kept.removeStep()
      let before = kept.entries.count
      try kept.list(steps, in: cache)
      if kept.entries.count == before { grown += 1 }
      if kept.equalLeafCount > 0 { shared += 1 }
      try kept.cutTiles(shapes: [Self.shape], workerCount: 2)
      var fresh = try Plan()
      try fresh.list(steps, in: cache)
      try fresh.cutTiles(shapes: [Self.shape], workerCount: 2)
      #expect(Listing(kept) == Listing(fresh), "step \(step)")
      if step % 23 == 22 { cache.abandon(reservation) } else { cache.commit(reservation) }
      if step % 7 == 6 { try Self.edit(cache, &sequences, using: &random) }
    }
    #expect(grown > 200 && shared > 20, "\(grown) steps of growth, \(shared) with equal leaves")
  }

  @Test("lists a long table once, and then what it grows by")
  func carriesOn() throws {
    let cache = try KVCache(
      layers: [
        LayerShape(
          kvHeads: 1, keyWidth: 32, keyType: .float16, valueType: .float16, keyPositions: .none)
      ], stripes: [nil], memoryLimit: 1 << 30)
    let sequence = try cache.makeSequence()
    cache.commit(try cache.reserve([SlotRequest(sequence, appending: 262_080)]))
    var plan = try Plan()
    var lists: Set<Int> = []
    for _ in 0..<64 {
      let reservation = try cache.reserve([SlotRequest(sequence, appending: 1)])
      plan.removeStep()
      try plan.list([StepRequest(sequence, appending: 1, querying: 1)], in: cache)
      lists.insert(plan.entries.count)
      #expect(try plan.positions[0] == cache.nextPosition(of: sequence))
      cache.commit(reservation)
    }
    #expect(lists.count == 1)
  }
}
