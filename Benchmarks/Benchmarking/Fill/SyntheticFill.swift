package import StreamingAttention

/// Synthetic contents of an engine's cache: all layers, any element types, several sequences, known answers.
///
/// Numbers come from ``SyntheticValues``, so any row can be had again, and pages are written by all workers at once.
package final class SyntheticFill {
  package let engine: AttentionEngine
  package let sequences: [FillSequence]
  package let options: FillOptions
  /// The sequences in the cache, once they have been filled.
  package private(set) var ids: [SequenceID] = []

  let rows: SyntheticRows

  /// Prepares contents; the cache is not touched yet.
  ///
  /// - Throws: ``FillError/invalid(name:received:allowed:)``.
  package init(
    engine: AttentionEngine, sequences: [FillSequence], options: FillOptions = FillOptions()
  ) throws(FillError) {
    for sequence in sequences {
      let most = KVCache.positions.upperBound / 2
      try Self.demand("filled tokens", sequence.filled, in: 0...most)
      try Self.demand("appended tokens", sequence.appended, in: 0...most)
      try Self.demand("query rows", sequence.queries, in: 0...sequence.length)
    }
    if let run = options.anchorRun, run < 64 || run % 64 != 0 {
      throw .invalid(name: "slots of one anchor", received: run, allowed: "multiples of 64")
    }
    for (layer, shape) in engine.cache.layers.enumerated() {
      let pairs = engine.layers[layer].rotary?.pairCount ?? 0
      guard pairs == shape.rotaryPairs else {
        throw .invalid(
          name: "pairs that turn in layer \(layer)", received: pairs,
          allowed: "what the cache stores, \(shape.rotaryPairs)")
      }
      let epochs = engine.layers[layer].laterRotary.count + 1
      guard pairs == 0 || epochs >= options.rotation.epochCount else {
        throw .invalid(
          name: "rotary epochs of layer \(layer)", received: epochs,
          allowed: "\(options.rotation.epochCount) or more")
      }
    }
    self.engine = engine
    self.sequences = sequences
    self.options = options
    rows = SyntheticRows(
      values: SyntheticValues(seed: options.seed),
      layers: zip(engine.cache.layers, engine.layers).map { stored, attention in
        let steepest = options.steepestSlope ?? attention.alibi.map { Double($0.slopes.max() ?? 0) }
        let needles = NeedleShape(attention, stored: stored)
        let plans = sequences.map {
          NeedlePlan(
            needles, kvHeads: stored.kvHeads, sequence: $0, steepestSlope: steepest ?? 0,
            window: attention.window ?? .max)
        }
        return SyntheticRows.Layer(
          stored: stored, rotary: attention.rotary(ofEpoch: options.rotation.epochCount),
          firstRotary: attention.rotary, needles: needles,
          plans: options.needles == .planted ? plans : [])
      },
      sequences: sequences, anchorRun: options.anchorRun, rotation: options.rotation)
  }

  private static func demand(
    _ name: String, _ received: Int, in allowed: ClosedRange<Int>
  ) throws(FillError) {
    guard allowed.contains(received) else {
      throw .invalid(
        name: name, received: received, allowed: "\(allowed.lowerBound)…\(allowed.upperBound)")
    }
  }

  /// What `AttentionEngine.begin` takes for the measured step.
  package var requests: [StepRequest] {
    zip(ids, sequences).map { StepRequest($0, appending: $1.appended, querying: $1.queries) }
  }

  /// The sequences, of which only the newest `count` rows ask; all if nil.
  func asking(_ count: Int?) -> [FillSequence] {
    guard let count else { return sequences }
    return sequences.map { sequence in
      precondition(count <= sequence.queries, "\(count) rows of \(sequence.queries)")
      return FillSequence(
        filled: sequence.filled, appended: sequence.appended, queries: count)
    }
  }

  /// Makes the sequences and writes their tokens into all layers' pages.
  ///
  /// Pages lie where the sequences' growth together, by one token in each step, would have put them, and hold the
  /// bits that appending would have stored.
  ///
  /// - Parameters:
  ///   - cancellation: Looked at between pages.
  ///   - progress: Called with the part that is done, now and then.
  /// - Returns: The sequences, in the order in which they were described.
  /// - Throws: ``FillError``, with the cache as it was.
  /// - Precondition: It has not been filled yet, or been dropped since.
  package func fill(
    cancellation: CancellationFlag? = nil, progress: ((Double) -> Void)? = nil
  ) throws(FillError) -> [SequenceID] {
    precondition(ids.isEmpty, "filled twice")
    try demandMemory()
    do throws(FillError) {
      try grow()
      try writePages(cancellation: cancellation, progress: progress)
    } catch {
      try drop()
      throw error
    }
    return ids
  }

  /// Drops the sequences.
  package func drop() throws(FillError) {
    for id in ids { try FillError.wrapping { () throws(CacheError) in try engine.cache.drop(id) } }
    ids = []
  }

  /// Throws where the sequences can never fit, before all memory has been filled with what does.
  private func demandMemory() throws(FillError) {
    let cache = engine.cache
    var needed = 0
    for (layer, shape) in cache.layers.enumerated() {
      let page = min(
        cache.layout(ofLayer: layer).pageBytes, cache.codedLayout(ofLayer: layer).pageBytes)
      for sequence in sequences {
        var kept = sequence.length
        if case .window(let window) = shape.retention { kept = min(kept, window) }
        needed += (kept + PageLayout.slots - 1) / PageLayout.slots * shape.kvHeads * page
      }
    }
    guard needed <= cache.memoryLimit else {
      throw .cache(.outOfMemory(needed: needed, allowed: cache.memoryLimit))
    }
  }

  /// Reserves everything, one page of every sequence after the other, as steps of one token would.
  private func grow() throws(FillError) {
    let cache = engine.cache
    var remaining = sequences.map(\.filled)
    for _ in sequences {
      let id = try FillError.wrapping { () throws(CacheError) in try cache.makeSequence() }
      ids.append(id)
      try turn(id, options.rotation.first)
    }
    while remaining.contains(where: { $0 > 0 }) {
      var requests: [SlotRequest] = []
      for index in sequences.indices where remaining[index] > 0 {
        let filled = sequences[index].filled
        if filled - remaining[index] == options.rotation.firstOfLast(filled: filled) {
          try turn(ids[index], options.rotation.last)
        }
      }
      for index in sequences.indices where remaining[index] > 0 {
        let count = min(remaining[index], PageLayout.slots)
        requests.append(SlotRequest(ids[index], appending: count))
        remaining[index] -= count
      }
      try FillError.wrapping { () throws(CacheError) in
        cache.commitUnwritten(try cache.reserve(requests))
      }
    }
    for (id, sequence) in zip(ids, sequences) where sequence.filled == 0 {
      try turn(id, options.rotation.last)
    }
    guard let run = options.anchorRun else { return }
    for (id, sequence) in zip(ids, sequences) {
      for token in stride(from: run, to: sequence.filled, by: run) {
        try FillError.wrapping { () throws(CacheError) in
          try cache.rebase(id, fromEntry: token / PageLayout.slots, by: 1)
        }
      }
    }
  }

  private func turn(_ id: SequenceID, _ rotation: SequenceRotation) throws(FillError) {
    try FillError.wrapping { () throws(CacheError) in
      try engine.cache.setRotation(rotation, of: id)
    }
  }
}
