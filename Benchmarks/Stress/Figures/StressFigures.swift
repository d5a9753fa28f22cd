import Memory
import StreamingAttention

/// What a run counts and measures.
package struct StressFigures: Sendable {
  /// Operations; for growth, steps of the engine.
  package internal(set) var steps = 0
  package internal(set) var tokensAppended = 0
  package internal(set) var forks = 0
  package internal(set) var shifts = 0
  package internal(set) var evictions = 0
  package internal(set) var truncations = 0
  package internal(set) var drops = 0
  package internal(set) var merges = 0
  /// Page sets copied because they were shared, and written anew because tokens went from their middle.
  package internal(set) var copies = 0
  package internal(set) var rewrites = 0
  /// Ranges of tokens pinned.
  package internal(set) var pins = 0
  /// Tokens that have left a window and were given back.
  package internal(set) var releasedTokens = 0
  /// Pages that policies have evicted.
  package internal(set) var evictedPages = 0
  /// Thin extents emptied, over all layers and KV heads, and page sets copied for it.
  package internal(set) var emptiedExtents = 0
  package internal(set) var movedPageSets = 0
  /// Live slots of all slots of live pages, at the last look.
  package internal(set) var pageFill = 1.0
  /// Snapshots saved, snapshots restored, and processes killed while they saved.
  package internal(set) var snapshots = 0
  package internal(set) var restorations = 0
  package internal(set) var kills = 0
  package internal(set) var snapshotSpeed: SnapshotSpeed?
  package internal(set) var faultsInjected = 0
  /// Operations that memory ended, after which the run freed some and went on.
  package internal(set) var refusals = 0
  package internal(set) var checksPassed = 0
  package internal(set) var checksFailed = 0
  /// Tokens of the longest sequence that there was.
  package internal(set) var longestContext = 0
  /// Page memory now and at its largest.
  package internal(set) var formulaBytes = 0
  package internal(set) var committedBytes = 0
  package internal(set) var peakFormulaBytes = 0
  package internal(set) var peakCommittedBytes = 0
  /// Of the process.
  package internal(set) var residentBytes: Int?
  package internal(set) var peakResidentBytes: Int?
  package internal(set) var residentBytesByNode: [Int: Int] = [:]
  /// Of the process before the first operation.
  package internal(set) var residentBytesAtStart: Int?
  /// Page memory, and that of the process, once all was dropped.
  package internal(set) var committedBytesAfterDrop: Int?
  package internal(set) var residentBytesAfterDrop: Int?
  /// The most that the cache's tables hold then.
  package internal(set) var tableBytes = 0
  package internal(set) var history: HistoryFigures?
  package internal(set) var seconds = 0.0
  /// By the power of two that the context reaches.
  private(set) var contexts: [Int: ContextFigures] = [:]
  /// By name.
  private(set) var operations: [String: TimeSamples] = [:]
  /// The newest steps of one token for each sequence, for those who watch.
  private(set) var recentSteps: [UInt64] = []
  /// What caches counted that the run has left.
  private var left = CacheStatistics()

  /// Bytes of all times that are kept.
  var sampleBytes: Int {
    contexts.values.reduce(0) {
      $0 + $1.append.keptBytes + $1.appendWithCommits.keptBytes + $1.decode.keptBytes
    } + operations.values.reduce(0) { $0 + $1.keptBytes }
  }

  /// The smallest power of two that is no less than a context.
  static func bucket(_ context: Int) -> Int {
    context <= 1 ? 1 : 1 << (Int.bitWidth - (context - 1).leadingZeroBitCount)
  }

  /// Takes a step that is not measured.
  mutating func add(_ step: StepFigures) {
    checksPassed += step.checks
    releasedTokens += step.releasedTokens
    longestContext = max(longestContext, step.context)
  }

  /// Takes the time that one token for each sequence took to append.
  mutating func addAppend(_ step: StepFigures) {
    let bucket = Self.bucket(step.context)
    if !step.hasCommitted { contexts[bucket, default: ContextFigures()].append.add(step.append) }
    contexts[bucket, default: ContextFigures()].appendWithCommits.add(step.append)
  }

  /// Takes the time of a step's attention.
  mutating func addDecode(_ step: StepFigures) {
    guard step.attend > 0 else { return }
    let bucket = Self.bucket(step.context)
    contexts[bucket, default: ContextFigures()].decode.add(step.attend)
    contexts[bucket, default: ContextFigures()].decodeNanoseconds += step.attend
    contexts[bucket, default: ContextFigures()].bytesRead += step.bytesRead
    if recentSteps.count == 64 { recentSteps.removeFirst() }
    recentSteps.append(step.append + step.attend)
  }

  /// Takes what the run's cache has counted so far, beside those before it.
  mutating func take(_ statistics: CacheStatistics) {
    merges = left.merges + statistics.merges
    copies = left.copies + statistics.copies
    rewrites = left.rewrites + statistics.rewrites
    evictedPages = left.evictions + statistics.evictions
    emptiedExtents = left.emptiedExtents + statistics.emptiedExtents
    movedPageSets = left.movedPageSets + statistics.movedPageSets
    pageFill = statistics.pageFill
  }

  /// Takes what a cache has counted that the run goes on without; the next one begins from 0.
  mutating func takeLast(_ statistics: CacheStatistics) {
    take(statistics)
    (left.merges, left.copies, left.rewrites) = (merges, copies, rewrites)
    (left.evictions, left.emptiedExtents) = (evictedPages, emptiedExtents)
    left.movedPageSets = movedPageSets
  }

  mutating func add(_ name: String, _ nanoseconds: UInt64) {
    operations[name, default: TimeSamples()].add(nanoseconds)
  }

  /// Takes what page memory is in use now, and what the process takes if it was asked.
  mutating func look(formula: Int, committed: Int, resident: Int?, context: Int) {
    (formulaBytes, committedBytes) = (formula, committed)
    peakFormulaBytes = max(peakFormulaBytes, formula)
    peakCommittedBytes = max(peakCommittedBytes, committed)
    residentBytes = resident ?? residentBytes
    let bucket = Self.bucket(context)
    guard contexts[bucket] != nil else { return }
    contexts[bucket]?.formulaBytes = formula
    contexts[bucket]?.committedBytes = committed
    if let resident { contexts[bucket]?.residentBytes = resident }
  }
}
