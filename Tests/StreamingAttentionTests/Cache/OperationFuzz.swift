import KernelTable
import Memory
import TestSupport
import Testing

@testable import StreamingAttention

/// A random history of all operations beside plain lists of tokens.
struct OperationFuzz {
  private(set) var harness: OperationHarness
  private var random: SeededGenerator
  private var models: [SequenceID: OperationModel] = [:]
  private(set) var order: [SequenceID] = []
  private let mostSequences: Int
  private let mostTokens: Int
  private(set) var counts: [String: Int] = [:]

  init(
    seed: UInt64, mostSequences: Int = 10, mostTokens: Int = 700,
    types: [ElementType] = ElementType.plainCases, fullPrecision: FullPrecision = .newestPages,
    workerCount: Int = 1
  ) throws {
    harness = try OperationHarness(
      seed: seed, types: types, fullPrecision: fullPrecision, workerCount: workerCount)
    random = SeededGenerator(seed: seed)
    (self.mostSequences, self.mostTokens) = (mostSequences, mostTokens)
  }

  struct Difference: Error, CustomStringConvertible {
    var description: String
  }

  private func demand(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw Difference(description: message()) }
  }

  /// One operation, perhaps with an allocation that fails, and what must hold after it.
  mutating func step(_ number: Int) throws {
    guard !order.isEmpty, random.integer(in: 0..<40) > 0 else { return try makeSequence() }
    let isFaulty = random.integer(in: 0..<12) == 0
    var touched: [SequenceID] = []
    if isFaulty {
      let before = harness.cache.fingerprint(includingPages: number % 5 == 0)
      let faults = AllocationFaults(failing: random.integer(in: 1..<5))
      do {
        touched = try AllocationFaults.$current.withValue(faults) { try operate() }
      } catch let error where Self.isRefusal(error) {
        counts["faults", default: 0] += 1
        let after = harness.cache.fingerprint(includingPages: number % 5 == 0)
        try demand(after == before, "\(error) has changed \(before) to \(after)")
      }
    } else {
      touched = try operate()
    }
    let defects = harness.cache.checkInvariants()
    try demand(defects.isEmpty, "\(defects)")
    for sequence in touched where models[sequence] != nil { try checkTables(sequence) }
    for _ in 0..<2 { try checkSlot() }
    if number % 64 == 0, let sequence = order.randomElement(using: &random),
      let model = models[sequence], !model.tokens.isEmpty, canAsk(sequence, model)
    {
      try checkTables(sequence)
      let ratio = try harness.attentionRatio(
        of: sequence, model, row: random.integer(in: 0..<1000))
      try demand(ratio <= 1, "attention is off by \(ratio) bounds")
      counts["attention", default: 0] += 1
    }
  }

  private static func isRefusal(_ error: any Error) -> Bool {
    switch error {
    case CacheError.refused, AttentionError.outOfMemory, AttentionError.cache(.refused): true
    default: false
    }
  }

  /// Goes on in another cache that holds the same sequences, in the same order.
  mutating func move(to other: OperationHarness, _ sequences: [SequenceID]) {
    var moved: [SequenceID: OperationModel] = [:]
    for (own, new) in zip(order, sequences) { moved[new] = models[own] }
    other.nextIdentity = harness.nextIdentity
    (harness, models, order) = (other, moved, sequences)
  }

  /// Drops everything: nothing may be left.
  mutating func end() throws {
    for sequence in order { try checkTables(sequence) }
    for sequence in order.shuffled(using: &random) {
      try harness.cache.drop(sequence)
      let defects = harness.cache.checkInvariants()
      try demand(defects.isEmpty, "\(defects)")
    }
    let statistics = harness.cache.statistics()
    try demand(
      harness.cache.byteCount == 0 && harness.cache.formulaBytes == 0 && statistics.pages == 0
        && statistics.extents == 0 && statistics.liveEntries == 0, "\(statistics) are left")
  }

  private mutating func makeSequence() throws {
    guard order.count < mostSequences else { return }
    let start = random.integer(in: 0..<3) == 0 ? random.integer(in: 0..<261_000) : 0
    let sequence = try harness.cache.makeSequence(startingAt: start)
    models[sequence] = OperationModel(startingAt: start)
    order.append(sequence)
  }

  /// One operation on the cache, then on the models; the sequences that it changes.
  private mutating func operate() throws -> [SequenceID] {
    let sequence = order[random.integer(in: 0..<order.count)]
    guard let model = models[sequence] else { return [] }
    switch random.integer(in: 0..<100) {
    case ..<42: return try append()
    case ..<50:
      guard order.count < mostSequences else { return try drop(sequence) }
      let copy = try harness.cache.fork(sequence)
      models[copy] = model
      order.append(copy)
      counts["forks", default: 0] += 1
      return [copy]
    case ..<54: return try drop(sequence)
    case ..<63: return try truncate(sequence, model)
    case ..<80: return try remove(sequence, model)
    case ..<86: return try keep(sequence, model)
    case ..<89: return try pin(sequence, model)
    case ..<92: return try evict(sequence, model)
    case ..<97:
      let first = model.tokens.first?.position ?? model.start
      let delta = random.integer(in: -min(first, 300)..<300)
      try harness.cache.rebase(sequence, by: delta)
      models[sequence]?.rebase(by: delta)
    default:
      let epoch = random.integer(in: 1..<3)
      let keys: KeyRotation = random.integer(in: 0..<3) == 0 ? .whenRead : .whenStored
      try harness.cache.setRotation(SequenceRotation(epoch: epoch, keys: keys), of: sequence)
    }
    return [sequence]
  }

  private mutating func append() throws -> [SequenceID] {
    let chosen = order.shuffled(using: &random).prefix(random.integer(in: 1..<4))
    let sizes =
      [0, 1, 1, 1, 2, 3, 7, 20, 63, 64, 65, 130] + (mostTokens > 1000 ? [500, 2000] : [])
    let requests = chosen.map { sequence in
      let room = mostTokens - (models[sequence]?.tokens.count ?? 0)
      return (sequence, max(min(sizes[random.integer(in: 0..<sizes.count)], room), 0))
    }
    let commits = random.integer(in: 0..<5) > 0
    let before = commits ? nil : harness.cache.fingerprint(includingPages: false)
    let identities = try harness.append(requests, commits: commits)
    if let before {
      try demand(
        harness.cache.fingerprint(includingPages: false) == before, "abandoned, yet changed")
    } else {
      for (request, identities) in zip(requests, identities) {
        models[request.0]?.append(identities)
      }
    }
    return Array(chosen)
  }

  private mutating func drop(_ sequence: SequenceID) throws -> [SequenceID] {
    try harness.cache.drop(sequence)
    models[sequence] = nil
    order.removeAll { $0 == sequence }
    return []
  }

  /// Whether the window of the newest token is whole: after a rewind only that of the next one need be.
  private func canAsk(_ sequence: SequenceID, _ model: OperationModel) -> Bool {
    var asked = model
    asked.nextPosition -= 1
    return !asked.misses(live(sequence, model))
  }

  /// Which tokens the table with a window holds.
  private func live(_ sequence: SequenceID, _ model: OperationModel) -> [Bool] {
    var isLive = [Bool](repeating: false, count: model.tokens.count)
    for entry in harness.entries(of: sequence, table: 1) {
      for token in entry.tokens { isLive[token] = true }
    }
    return isLive
  }

  private mutating func truncate(
    _ sequence: SequenceID, _ model: OperationModel
  ) throws -> [SequenceID] {
    let count = model.tokens.count
    let length =
      random.integer(in: 0..<3) == 0
      ? random.integer(in: 0..<count + 1) : max(count - random.integer(in: 0..<80), 0)
    let shortest = model.shortestLength(live(sequence, model))
    do {
      try harness.cache.truncate(sequence, to: length)
      try demand(
        length == 0 || length >= shortest, "\(length) is below the shortest, \(shortest)")
      try demand(
        length == count || !model.endsEvicted(length), "token \(length - 1) has been evicted")
      models[sequence]?.truncate(to: length)
      counts["truncations", default: 0] += 1
    } catch CacheError.lengthReleased(let received, let allowed) {
      var expected = shortest
      if length >= shortest {
        try demand(model.endsEvicted(length), "\(length) is refused")
        expected = length
        while model.endsEvicted(expected) { expected += 1 }
      }
      try demand(
        received == length && allowed == expected,
        "\(length) is refused, allowed from \(allowed), should be from \(expected)")
    }
    return [sequence]
  }

  private mutating func remove(
    _ sequence: SequenceID, _ model: OperationModel
  ) throws -> [SequenceID] {
    let count = model.tokens.count
    let start = random.integer(in: 0..<count + 1)
    let most = [3, 70, 300][random.integer(in: 0..<3)]
    let range = start..<min(start + random.integer(in: 0..<most), count)
    var after = model
    after.remove(range)
    return try edit(sequence, model, after, "remove \(range)", at: range) { [harness] in
      try harness.cache.remove(range, from: sequence)
    }
  }

  private mutating func keep(
    _ sequence: SequenceID, _ model: OperationModel
  ) throws -> [SequenceID] {
    let (first, last) = (random.integer(in: 0..<70), random.integer(in: 0..<400))
    var after = model
    after.keep(first: first, last: last)
    return try edit(sequence, model, after, "keep \(first) and \(last)", at: nil) { [harness] in
      try harness.cache.keep(first: first, last: last, of: sequence)
    }
  }

  private mutating func edit(
    _ sequence: SequenceID, _ model: OperationModel, _ after: OperationModel, _ name: String,
    at range: Range<Int>?, _ body: () throws -> Void
  ) throws -> [SequenceID] {
    let live = live(sequence, model)
    let serials = Set(after.tokens.map(\.serial))
    let isLive = zip(model.tokens, live).filter { serials.contains($0.0.serial) }.map(\.1)
    do {
      try body()
      try demand(!after.misses(isLive) || after.tokens.isEmpty, "\(name) leaves a window short")
      try demand(
        range != nil || !after.endsEvicted(after.tokens.count), "\(name) ends with an evicted token"
      )
      models[sequence] = after
      counts[range == nil ? "keeps" : "removals", default: 0] += 1
    } catch CacheError.windowReleased {
      try demand(after.misses(isLive), "\(name) is refused")
    } catch CacheError.lengthReleased {
      try demand(
        range?.upperBound == model.tokens.count || after.endsEvicted(after.tokens.count),
        "\(name) is no rewind")
    }
    return [sequence]
  }

  /// Evicts pages of the table that keeps everything.
  private mutating func evict(
    _ sequence: SequenceID, _ model: OperationModel
  ) throws -> [SequenceID] {
    let before = harness.entries(of: sequence, table: 0)
    let count = random.integer(in: 0..<before.count + 2)
    let chosen = Set((0..<count).map { _ in random.integer(in: -1..<before.count + 2) })
    let policies: [EvictionPolicy] = [
      .recent, .heavyHitters, .observationWindow, EvictionPolicy { _, _ in Array(chosen) },
    ]
    let policy = random.integer(in: 0..<4)
    let gone = try harness.cache.evict(
      from: sequence, layer: random.integer(in: 0..<2) * 2, to: count, by: policies[policy])
    let after = harness.entries(of: sequence, table: 0)
    let protected = before.indices.filter { index in
      index == before.count - 1
        || model.tokens[before[index].tokens].contains { $0.isPinned || $0.isSink }
    }
    var kept = Set(protected)
    if before.count <= count {
      kept = Set(before.indices)
    } else if policy == 0 {
      for index in before.indices.reversed() where kept.count < count { kept.insert(index) }
    } else if policy == 3 {
      kept.formUnion(chosen.filter { before.indices.contains($0) })
    } else {
      // Which they are follows from attention; how many does not.
      let tokens = Set(after.map(\.tokens))
      let left = before.indices.filter { tokens.contains(before[$0].tokens) }
      try demand(
        kept.isSubset(of: left) && left.count == max(count, protected.count),
        "\(left) of \(before.count) are left, not \(count)")
      kept = Set(left)
    }
    try demand(
      after.map(\.tokens) == before.indices.filter { kept.contains($0) }.map { before[$0].tokens }
        && gone == before.count - after.count, "\(after) is left, not \(kept.sorted())")
    for index in before.indices where !kept.contains(index) {
      for token in before[index].tokens { models[sequence]?.tokens[token].isEvicted = true }
    }
    counts["evictions", default: 0] += gone
    return [sequence]
  }

  private mutating func pin(
    _ sequence: SequenceID, _ model: OperationModel
  ) throws -> [SequenceID] {
    let start = random.integer(in: 0..<model.tokens.count + 1)
    let range = start..<min(start + random.integer(in: 0..<40), model.tokens.count)
    if random.integer(in: 0..<3) == 0 {
      let wide = 0..<range.upperBound
      try harness.cache.unpin(wide, of: sequence)
      for index in wide { models[sequence]?.tokens[index].isPinned = false }
      for index in wide { models[sequence]?.tokens[index].isHeld = false }
    } else {
      let isLive = live(sequence, model)
      try harness.cache.pin(range, of: sequence)
      for index in range {
        models[sequence]?.tokens[index].isPinned = true
        models[sequence]?.tokens[index].isHeld = isLive[index]
      }
    }
    return [sequence]
  }

  // MARK: Checks

  /// Lengths, positions, pins and entries against the list.
  private func checkTables(_ sequence: SequenceID) throws {
    guard let model = models[sequence] else { return }
    let (length, next) = (
      try harness.cache.length(of: sequence), try harness.cache.nextPosition(of: sequence)
    )
    try demand(length == model.tokens.count, "length \(length), not \(model.tokens.count)")
    try demand(next == model.nextPosition, "next at \(next), not \(model.nextPosition)")
    var pinned = 0
    for range in try harness.cache.pinnedTokens(of: sequence) {
      for index in range { pinned += model.tokens[index].isPinned ? 1 : 0 }
      try demand(range.allSatisfy { model.tokens[$0].isPinned }, "pinned \(range)")
    }
    try demand(pinned == model.tokens.reduce(0) { $0 + ($1.isPinned ? 1 : 0) }, "pins are lost")
    for table in 0..<2 {
      var isLive = [Bool](repeating: false, count: model.tokens.count)
      for entry in harness.entries(of: sequence, table: table) {
        for (slot, token) in zip(entry.slots, entry.tokens) {
          isLive[token] = true
          let position = entry.basePosition + slot
          try demand(
            position == model.tokens[token].position,
            "token \(token) at \(position), not \(model.tokens[token].position)")
        }
      }
      if table == 0 {
        try demand(
          zip(isLive, model.tokens).allSatisfy { $0 != $1.isEvicted }, "tokens are lost or back")
      } else {
        try demand(!model.misses(isLive), "the window has lost tokens")
        for (index, token) in model.tokens.enumerated() where token.isHeld {
          try demand(isLive[index], "pinned token \(index) is lost")
        }
      }
    }
  }

  /// What a random live slot holds.
  private mutating func checkSlot() throws {
    guard let sequence = order.randomElement(using: &random), let model = models[sequence] else {
      return
    }
    let layer = random.integer(in: 0..<3)
    let entries = harness.entries(of: sequence, table: harness.cache.table(ofLayer: layer))
    guard let entry = entries.randomElement(using: &random) else { return }
    let slot = random.integer(in: entry.slots)
    let token = entry.tokens.lowerBound + slot - entry.slots.lowerBound
    for head in 0..<harness.cache.layers[layer].kvHeads {
      let holds = harness.holds(
        model.tokens[token].identity, layer: layer, head: head, entry: entry, slot: slot)
      try demand(holds, "layer \(layer) head \(head): \(entry) slot \(slot) is not token \(token)")
    }
  }
}

@Suite("Random operations on the cache")
struct OperationFuzzTests {
  @Test(
    "agree with lists of tokens, 100,000 of them", arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
  func short(seed: UInt64) throws {
    try Self.run(try OperationFuzz(seed: seed), 12_500, expectsAll: true)
  }

  @Test(
    "agree with lists of tokens where keys and values are quantised",
    arguments: [31, 32, 33] as [UInt64])
  func quantized(seed: UInt64) throws {
    let fuzz = try OperationFuzz(
      seed: seed, types: OperationHarness.quantizedTypes,
      fullPrecision: seed == 33 ? FullPrecision(first: 5, last: 200) : .newestPages)
    try Self.run(fuzz, 10_000, expectsAll: true)
  }

  @Test("agree with lists of tokens over several leaves", arguments: [21, 22] as [UInt64])
  func long(seed: UInt64) throws {
    let fuzz = try OperationFuzz(seed: seed, mostSequences: 3, mostTokens: 9_000)
    try Self.run(fuzz, 600, expectsAll: false)
  }

  @Test(
    "agree with lists of tokens while several workers share the steps",
    arguments: [41, 42] as [UInt64])
  func workers(seed: UInt64) throws {
    try Self.run(try OperationFuzz(seed: seed, workerCount: 3), 2_000, expectsAll: false)
  }

  /// So many operations, and what must hold at the end; where there are enough, each kind has come up.
  private static func run(_ start: OperationFuzz, _ count: Int, expectsAll: Bool) throws {
    var fuzz = start
    for number in 0..<count {
      do { try fuzz.step(number) } catch {
        Issue.record("operation \(number): \(error)")
        return
      }
    }
    try fuzz.end()
    guard expectsAll else { return }
    for name in ["faults", "forks", "truncations", "removals", "keeps", "evictions", "attention"] {
      #expect(fuzz.counts[name, default: 0] > 50, "\(fuzz.counts)")
    }
    let statistics = fuzz.harness.cache.statistics()
    #expect(
      statistics.merges > 50 && statistics.copies > 50 && statistics.rewrites > 50,
      "\(statistics)")
  }
}
