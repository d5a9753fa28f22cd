import StreamingAttention
import TestSupport
import Testing

/// Random histories against a naive list of tokens, with the cache's books checked after every operation.
@Suite("Random histories of the cache")
struct KVCacheRandomTests {
  /// What a sequence holds, as plain lists.
  private struct Model {
    var tokens: [Int] = []
    /// Position − anchor of each token when it was written.
    var distances: [Int] = []
    var positions: [Int] = []
    var nextPosition: Int
    /// The anchor of each entry; entries never move relative to their tokens.
    var anchors: [Int] = []

    mutating func append(_ new: [Int]) {
      for token in new {
        if tokens.count % 64 == 0 { anchors.append(anchors.last ?? 0) }
        tokens.append(token)
        positions.append(nextPosition)
        distances.append(nextPosition - anchors[anchors.count - 1])
        nextPosition += 1
      }
    }

    mutating func move(fromEntry entry: Int, by delta: Int) {
      for index in min(entry * 64, tokens.count)..<tokens.count { positions[index] += delta }
      for index in entry..<anchors.count { anchors[index] += delta }
      nextPosition += delta
    }
  }

  @Test("thousands of operations agree with the oracle", arguments: [1, 2, 3, 4])
  func histories(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    // Small enough to be met now and then: one group of 2 MiB for each of the three layers.
    let harness = try CacheHarness(memoryLimit: 6 << 20)
    var models: [SequenceID: Model] = [:]
    var order: [SequenceID] = []
    var token = 0
    var refusals = 0
    for operation in 0..<1_500 {
      switch random.integer(in: 0..<20) {
      case 0 where order.count < 8, 1 where order.isEmpty:
        let start = random.integer(in: 0..<3) == 0 ? random.integer(in: 0..<262_144) : 0
        let sequence = try harness.cache.makeSequence(startingAt: start)
        models[sequence] = Model(nextPosition: start)
        order.append(sequence)
      case 1:
        let sequence = order.remove(at: random.integer(in: 0..<order.count))
        try harness.cache.drop(sequence)
        models[sequence] = nil
        #expect(throws: CacheError.unknownSequence(sequence)) {
          try harness.cache.length(of: sequence)
        }
      case 2 where !order.isEmpty, 3 where !order.isEmpty:
        try move(order[random.integer(in: 0..<order.count)], harness, &models, &random)
      case 4 where !order.isEmpty:
        // A long prompt that is given up, or that the limit refuses.
        let before = harness.fingerprint(of: order)
        let requests = order.map {
          SlotRequest($0, appending: random.integer(in: 0..<30_000) / order.count)
        }
        if let reservation = try admitted({ try harness.cache.reserve(requests) }) {
          #expect(harness.cache.checkInvariants() == [])
          harness.cache.abandon(reservation)
        } else {
          refusals += 1
        }
        #expect(harness.fingerprint(of: order) == before)
      default:
        let chosen = order.shuffled(using: &random).prefix(random.integer(in: 0..<4))
        let requests = chosen.map { sequence in
          let sizes = [0, 1, 1, 1, 2, 7, 63, 64, 65, 200]
          let count = sizes[random.integer(in: 0..<sizes.count)]
          token += count
          return (sequence, Array(token - count..<token))
        }
        let before = harness.fingerprint(of: order)
        guard let reservation = try admitted({ try harness.reserve(requests) }) else {
          refusals += 1
          #expect(harness.fingerprint(of: order) == before)
          break
        }
        if operation % 16 == 0 { #expect(harness.cache.checkInvariants() == []) }
        if random.integer(in: 0..<4) == 0 {
          harness.cache.abandon(reservation)
          #expect(harness.fingerprint(of: order) == before)
        } else {
          harness.cache.commit(reservation)
          for (sequence, tokens) in requests { models[sequence]?.append(tokens) }
        }
      }
      let defects = harness.cache.checkInvariants()
      try #require(defects == [], "seed \(seed), operation \(operation)")
      if operation % 8 == 0, let sequence = order.randomElement(using: &random),
        let model = models[sequence]
      {
        try #require(
          agrees(harness, sequence, model), "seed \(seed), operation \(operation)")
      }
    }
    #expect(refusals > 0)
    for sequence in order {
      let model = try #require(models[sequence])
      #expect(agrees(harness, sequence, model))
      try harness.cache.drop(sequence)
    }
    #expect(harness.cache.byteCount == 0 && harness.cache.checkInvariants() == [])
  }

  /// The reservation, or nil if the memory limit refused it; any other error is one.
  private func admitted(_ reserve: () throws -> Reservation) throws -> Reservation? {
    do { return try reserve() } catch let error as CacheError {
      if case .outOfMemory = error { return nil }
      throw error
    }
  }

  /// Moves a whole sequence or its later entries; what does not fit must change nothing.
  private func move(
    _ sequence: SequenceID, _ harness: CacheHarness, _ models: inout [SequenceID: Model],
    _ random: inout SeededGenerator
  ) throws {
    let model = try #require(models[sequence])
    let entry = random.integer(in: 0..<3) == 0 ? random.integer(in: 0..<model.anchors.count + 1) : 0
    let delta = random.integer(in: -300..<300)
    let before = harness.fingerprint(of: [sequence])
    do {
      try harness.cache.rebase(sequence, fromEntry: entry, by: delta)
      models[sequence]?.move(fromEntry: entry, by: delta)
      let positions = models[sequence]?.positions ?? []
      #expect(positions.allSatisfy { $0 >= 0 })
      #expect(zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 })
    } catch {
      #expect(harness.fingerprint(of: [sequence]) == before)
      let isUnknown = entry > 0 && entry >= model.anchors.count
      #expect(isUnknown || delta < 0)
    }
  }

  private func agrees(_ harness: CacheHarness, _ sequence: SequenceID, _ model: Model) -> Bool {
    guard (try? harness.cache.length(of: sequence)) == model.tokens.count,
      (try? harness.cache.nextPosition(of: sequence)) == model.nextPosition
    else { return false }
    for table in 0..<harness.cache.tableCount {
      let entries = harness.entries(of: sequence, table: table)
      for entry in entries {
        let first = entry.number * 64
        let count = min(64, model.tokens.count - first)
        guard entry.slots == 0..<count, entry.basePosition == model.positions[first],
          entry.anchor == model.anchors[entry.number]
        else { return false }
      }
      guard let oldest = entries.first else { return model.tokens.isEmpty }
      let window = table == 0 ? Int.max : 130
      let oldestKept = max(model.nextPosition - min(window, model.nextPosition), 0)
      let released = model.positions.prefix(oldest.number * 64)
      guard released.allSatisfy({ $0 < oldestKept }) else { return false }
      guard entries.map(\.number) == Array(oldest.number..<model.anchors.count) else {
        return false
      }
    }
    return harness.holds(model.tokens, distances: model.distances, in: sequence)
  }
}
