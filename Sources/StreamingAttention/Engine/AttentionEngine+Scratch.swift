extension AttentionEngine: CacheEngine {
  /// Gives back the memory that steps have taken for themselves: lists of rows, pages and tiles, rotations, partial states.
  ///
  /// It grows with the rows, sequences and pages of a step, and is kept for the steps that follow, so that these allocate
  /// nothing. The next step takes what it needs anew, and its results are the same. Dropping the last sequence of the cache does
  /// this too; where much smaller steps follow a large one, a program may do it itself. If memory is short even for the
  /// least that an engine holds, some stays.
  ///
  /// - Precondition: No step is in progress.
  public func releaseScratch() {
    precondition(!isInStep, "releaseScratch inside a step")
    slotRequests = []
    unsafe writers = []
    counters = MergeCounters()
    scratchBytes = 0
    do throws(AttentionError) {
      states = try GrowingBuffer()
      scratch = try GrowingBuffer()
      noted = try NotedAttention()
      horizon = try HorizonWorkspace(largestHeadCount: cache.largestHeadCount)
      for index in turns.indices {
        turns[index] = try TurnTables(
          embeddings: turns[index].embeddings, table: turns[index].table)
      }
      let followsLength = plan.followsLength
      plan = try Plan()
      plan.followsLength = followsLength
    } catch {
      // What is left is whole: each part is put in place once it is made.
    }
  }
}
