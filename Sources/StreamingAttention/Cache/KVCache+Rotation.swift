extension KVCache {
  /// Which frequencies turn the queries and the next keys of a sequence.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``.
  public func rotation(of sequence: SequenceID) throws(CacheError) -> SequenceRotation {
    try state(of: sequence).rotation
  }

  /// Changes which frequencies turn the queries and the next keys of a sequence.
  ///
  /// What is stored stays as it is: page sets record how their keys were turned, and where the newest one was turned
  /// differently, the next token opens another.
  ///
  /// The engines over the cache say which epochs there are; before one is made, whether its layers know the epoch is checked where a step
  /// begins.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``, ``CacheError/invalidEpoch(received:allowed:)`` or
  ///   ``CacheError/stepInProgress``.
  /// - Complexity: O(layers): nothing that is stored is touched.
  public func setRotation(
    _ rotation: SequenceRotation, of sequence: SequenceID
  ) throws(CacheError) {
    guard epochs.contains(rotation.epoch) else {
      throw .invalidEpoch(received: rotation.epoch, allowed: epochs)
    }
    let state = try state(of: sequence)
    guard !isStepInProgress else { throw .stepInProgress }
    state.rotation = rotation
    for table in state.tables { table.pageEpoch = rotation.pageEpoch }
  }

  /// The epochs whose frequencies every rotary layer has been told.
  private var epochs: ClosedRange<Int> {
    let first = Int(PageSet.firstEpoch)
    var last = Int(Int32.max)
    for (layer, rotaries) in rewriter.rotaries.enumerated() where layers[layer].rotaryPairs > 0 {
      last = min(last, rotaries.count + first - 1)
    }
    return first...max(first, last)
  }

  /// Takes the frequencies of a new engine, by layer and epoch, beside those of the others.
  ///
  /// Those of an epoch stay what they are while a page set of it is live or another engine names them: keys that are turned
  /// again, by a removal, must be turned by what turned them first. Pages that nobody has named frequencies for take any.
  ///
  /// - Complexity: O(page sets).
  func takeFrequencies(
    _ rotaries: [[RotaryEmbedding]], beside others: [[[RotaryEmbedding]]]
  ) throws(CacheError) {
    guard !rotaries.isEmpty else { return }
    var taken = rotaries
    for pool in pools {
      let epochs = pool.liveEpochs
      for layer in pool.layers where layers[layer].rotaryPairs > 0 {
        let named = others.compactMap { $0.indices.contains(layer) ? $0[layer] : nil }
        let known = rewriter.rotaries.indices.contains(layer) ? rewriter.rotaries[layer] : []
        for (index, rotary) in rotaries[layer].enumerated() {
          let epoch = Int32(index) + PageSet.firstEpoch
          var held: [RotaryEmbedding] = []
          if epochs.contains(epoch), known.indices.contains(index) { held.append(known[index]) }
          held += named.compactMap { $0.indices.contains(index) ? $0[index] : nil }
          for other in held where other.frequencies != rotary.frequencies {
            throw .otherFrequencies(
              layer: layer, epoch: Int(epoch), received: rotary, allowed: other)
          }
          taken[layer][index] = held.first ?? rotary
        }
        // Epochs that the new engine does not know, as long as somebody needs them.
        let last = epochs.max().map { Int($0 - PageSet.firstEpoch) + 1 } ?? 0
        let needed = named.reduce(last) { max($0, $1.count) }
        taken[layer] += known.prefix(needed).dropFirst(rotaries[layer].count)
      }
    }
    rewriter.rotaries = taken
  }
}

extension PagePool {
  /// The epochs of the live page sets.
  fileprivate var liveEpochs: Set<Int32> {
    var epochs: Set<Int32> = []
    for index in 0..<sets.count where sets[index].referenceCount > 0 {
      epochs.insert(sets[index].epoch)
    }
    return epochs
  }
}
