/// What happens in a cache beside growing, counted since it was made.
struct CacheCounters {
  /// Pairs of entries that became one.
  var merges = 0
  /// Page sets copied before a write because others shared them.
  var copies = 0
  /// Page sets from whose middle tokens were removed.
  var rewrites = 0
  /// Entries that policies have given up.
  var evictions = 0
}

/// How a cache's memory is used, and what its operations have cost so far.
public struct CacheStatistics: Sendable, Equatable {
  /// Live entries of all sequences and page tables; forks count what they share again.
  public var liveEntries = 0
  /// Distinct live page sets: one page for each layer and KV head of a retention.
  public var pageSets = 0
  /// Distinct live pages.
  public var pages = 0
  /// Those of quantised layers that hold codes; the others are their sequences' newest, or kept in full precision.
  public var quantizedPages = 0
  /// Extents that hold them or are ready to, over all layers and KV heads.
  public var extents = 0
  /// Live slots ÷ slots of the live pages, a slot that several sequences share counted once; 1 without pages.
  public var pageFill = 1.0
  /// Neighbouring entries that a removal has made one, so far.
  public var merges = 0
  /// Page sets copied before a write because other sequences shared them, so far.
  public var copies = 0
  /// Page sets from whose middle tokens have been removed, so far.
  public var rewrites = 0
  /// Entries that have been evicted from sequences, so far.
  public var evictions = 0
  /// Extents of which less than half is alive, over all layers and KV heads, newest ones of sequences aside.
  public var thinExtents = 0
  /// Thin extents that steps have emptied to commit no more memory, over all layers and KV heads, so far.
  public var emptiedExtents = 0
  /// Page sets that have been copied for it, so far.
  public var movedPageSets = 0

  /// Nothing.
  public init() {}
}

extension KVCache {
  /// Counts what the cache holds and what its operations have done.
  ///
  /// - Complexity: O(entries and page sets).
  public func statistics() -> CacheStatistics {
    var statistics = CacheStatistics()
    statistics.merges = counters.merges
    statistics.copies = counters.copies
    statistics.rewrites = counters.rewrites
    statistics.evictions = counters.evictions
    var (slots, liveSlots) = (0, 0)
    for (number, pool) in pools.enumerated() {
      // The live slots of each page set, one bit for each.
      var live = [UInt64](repeating: 0, count: pool.setNumbers.count)
      for state in sequences.compactMap({ $0 }) {
        let table = state.tables[number]
        statistics.liveEntries += table.entries.count
        for index in 0..<table.entries.count {
          let entry = table.entries[index]
          live[Int(entry.page)] |=
            (UInt64.max >> (64 - UInt64(entry.liveSlots))) << UInt64(entry.firstSlot)
        }
      }
      let sets = pool.setNumbers.usedCount
      statistics.pageSets += sets
      statistics.pages += sets * pool.columnCount
      let quantized = zip(pool.layers, pool.headCounts).reduce(0) {
        $0 + (layers[$1.0].isQuantized ? $1.1 : 0)
      }
      statistics.quantizedPages += pool.codedCount * quantized
      statistics.extents += pool.extentNumbers.usedCount * pool.columnCount
      statistics.emptiedExtents += pool.emptiedExtents * pool.columnCount
      statistics.movedPageSets += pool.movedSets
      for index in 0..<pool.extents.count where pool.isThin(pool.extents[index]) {
        statistics.thinExtents += pool.columnCount
      }
      slots += sets * PageLayout.slots * pool.columnCount
      liveSlots += live.reduce(0) { $0 + $1.nonzeroBitCount } * pool.columnCount
    }
    if slots > 0 { statistics.pageFill = Double(liveSlots) / Double(slots) }
    return statistics
  }

  /// Runs of neighbouring entries for whose keys a query is turned alike: 1 while a sequence only grows, one more for each
  /// place at which tokens have been removed.
  ///
  /// The largest over the sequence's page tables.
  ///
  /// - Throws: ``CacheError/unknownSequence(_:)``.
  public func anchorRuns(of sequence: SequenceID) throws(CacheError) -> Int {
    var most = 0
    for table in try state(of: sequence).tables {
      var runs = 0
      for index in 0..<table.entries.count
      where index == 0
        || table.anchor(of: table.entries[index])
          != table.anchor(of: table.entries[index - 1])
      {
        runs += 1
      }
      most = max(most, runs)
    }
    return most
  }
}
