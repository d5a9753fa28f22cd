/// The sequences of a snapshot on their way into a cache: page sets and tables are there, and nobody knows of them yet.
final class CacheRestoration {
  private let cache: KVCache
  /// The cache's page set for each of the snapshot's, by pool.
  private(set) var numbers: [[Int32]] = []
  private var states: [SequenceState] = []

  /// Takes memory for everything; throws with the cache as it was.
  init(_ manifest: SnapshotManifest, in cache: KVCache) throws(CacheError) {
    self.cache = cache
    var needed = cache.formulaBytes
    for (pool, sets) in zip(cache.pools, manifest.sets) {
      for set in sets { needed += pool.setBytes(set.form) }
    }
    guard needed <= cache.memoryLimit else {
      throw refusal(.outOfMemory(needed: needed, allowed: cache.memoryLimit), of: manifest)
    }
    numbers = cache.pools.map { _ in [] }
    do throws(CacheError) {
      for (number, sequence) in manifest.sequences.enumerated() {
        states.append(try makeState(sequence, number))
      }
      for (number, pool) in cache.pools.enumerated() {
        try takeSets(manifest, number, pool)
      }
    } catch {
      undo()
      throw refusal(error, of: manifest)
    }
    for (state, sequence) in zip(states, manifest.sequences) { fill(state, sequence) }
  }

  /// Gives all page sets back, the latest first.
  func undo() {
    for (number, pool) in cache.pools.enumerated().reversed() {
      for set in numbers[number].reversed() {
        pool.sets[Int(set)].referenceCount = 1
        pool.releaseSet(set, to: &cache.budget)
      }
      numbers[number] = []
    }
  }

  /// Makes the sequences the cache's; it cannot fail.
  func finish() -> [SequenceID] {
    for state in states { cache.insert(state) }
    return states.map(\.id)
  }

  // MARK: Parts

  /// The error of a restoration that has been taken back: one for want of memory names what all of it needs.
  private func refusal(_ error: CacheError, of manifest: SnapshotManifest) -> CacheError {
    guard case .outOfMemory(let needed, let allowed) = error else { return error }
    var least = 0
    for (pool, sets) in zip(cache.pools, manifest.sets) {
      let coded = sets.count { $0.form == .coded }
      least += pool.leastCommittedBytes(adding: sets.count - coded, inCodes: coded)
    }
    return .outOfMemory(needed: max(needed, least), allowed: allowed)
  }

  /// An empty sequence that has room for everything, under the identifier that it will have.
  private func makeState(
    _ sequence: SnapshotManifest.Sequence, _ number: Int
  ) throws(CacheError) -> SequenceState {
    let free = cache.freeIndices
    let index =
      number < free.count
      ? free[free.count - 1 - number] : cache.sequences.count + number - free.count
    let state = SequenceState(
      id: SequenceID(index: index), tables: cache.pools.map(PageTable.init(pool:)),
      startingAt: sequence.startPosition)
    for (table, stored) in zip(state.tables, sequence.tables) {
      try table.entries.reserveCapacity(stored.entries.count)
    }
    for pin in sequence.pins { try state.pins.insert(pin) }
    return state
  }

  /// Takes the page sets of a pool, neighbours of a table in one extent as far as it may reach; plain ones of quantised
  /// layers are soon given back, and lie by themselves.
  private func takeSets(
    _ manifest: SnapshotManifest, _ number: Int, _ pool: PagePool
  ) throws(CacheError) {
    let stored = manifest.sets[number]
    // Sets are stored in the order in which tables first name them, and so are they taken here; a file from elsewhere may
    // have them in any.
    var numbers = [Int32](repeating: PageTable.noPage, count: stored.count)
    for sequence in manifest.sequences {
      let entries = sequence.tables[number].entries
      var index = 0
      while index < entries.count {
        guard numbers[Int(entries[index].page)] == PageTable.noPage else {
          index += 1
          continue
        }
        let count = runLength(of: entries, from: index, in: numbers, stored, pool)
        let extent = try pool.openExtent(
          node: pool.node(ofEntry: Int(entries[index].number)), pageCount: count,
          isCoded: stored[Int(entries[index].page)].form == .coded, from: &cache.budget)
        do throws(CacheError) {
          for entry in entries[index..<index + count]
          where numbers[Int(entry.page)] == PageTable.noPage {
            let set = stored[Int(entry.page)]
            let page = try pool.addSet(to: extent, epoch: set.epoch, offset: set.offset)
            pool.sets[Int(page)].rewrites = set.rewrites
            pool.sets[Int(page)].isUncodable = set.form == .uncodable
            pool.sets[Int(page)].referenceCount = 0
            numbers[Int(entry.page)] = page
            self.numbers[number].append(page)
          }
        } catch {
          // What is in it goes with `undo`, and with the last of it the extent.
          pool.closeExtent(extent, to: &cache.budget)
          throw error
        }
        pool.closeExtent(extent, to: &cache.budget)
        index += count
      }
    }
    self.numbers[number] = numbers
  }

  /// Entries from `index` on whose pages lie in one extent: of one leaf and form, no more than an extent may have, and new.
  private func runLength(
    of entries: [PageEntry], from index: Int, in numbers: [Int32],
    _ stored: [SnapshotManifest.StoredSet], _ pool: PagePool
  ) -> Int {
    let leaf = Int(entries[index].number) / SummationOrder.largestLeafEntries
    let form = stored[Int(entries[index].page)].form
    guard form == .coded || !pool.isQuantized else { return 1 }
    var count = 1
    while index + count < entries.count, count < pool.largestExtent {
      let entry = entries[index + count]
      guard Int(entry.number) / SummationOrder.largestLeafEntries == leaf,
        numbers[Int(entry.page)] == PageTable.noPage, stored[Int(entry.page)].form == form
      else { break }
      count += 1
    }
    return count
  }

  /// Writes a sequence's tables and counters into the room that it has.
  private func fill(_ state: SequenceState, _ sequence: SnapshotManifest.Sequence) {
    state.length = sequence.length
    state.nextPosition = sequence.nextPosition
    state.sinkCount = sequence.sinkCount
    state.rotation = sequence.rotation
    state.isEvicting = sequence.isEvicting
    for (number, stored) in sequence.tables.enumerated() {
      let table = state.tables[number]
      table.nextNumber = stored.nextNumber
      table.pagesWritten = stored.pagesWritten
      table.isRewound = stored.isRewound
      table.hasEvicted = stored.hasEvicted
      table.pageEpoch = sequence.rotation.pageEpoch
      for var entry in stored.entries {
        entry.page = numbers[number][Int(entry.page)]
        table.pool.sets[Int(entry.page)].referenceCount += 1
        table.entries.append(entry)
      }
    }
  }
}
