import KernelTable

/// What layers with a horizon need beside the plan, sized when a step begins.
@safe struct HorizonWorkspace: ~Copyable {
  /// Bounds of a layer's pages, by KV head.
  var norms: GrowingBuffer<UnsafePointer<PageNorms>>
  /// By the number of a job; a job without a horizon reads all, in every layer.
  var outcomes: GrowingBuffer<HorizonOutcome>
  /// States of reference leaves.
  var states: GrowingBuffer<Float>
  var cuts: GrowingBuffer<Int32>
  var later: LaterPlan

  init(largestHeadCount: Int) throws(AttentionError) {
    var norms = try unsafe GrowingBuffer<UnsafePointer<PageNorms>>()
    try unsafe norms.reserveCapacity(largestHeadCount)
    let outcomes = try GrowingBuffer<HorizonOutcome>()
    let states = try GrowingBuffer<Float>()
    let cuts = try GrowingBuffer<Int32>()
    let later = try LaterPlan()
    unsafe self.norms = norms
    self.outcomes = outcomes
    self.states = states
    self.cuts = cuts
    self.later = later
  }

  mutating func prepare(for plan: borrowing Plan, workerCount: Int) throws(AttentionError) {
    outcomes.removeAll()
    if plan.references.count == 0 { return }
    try outcomes.reserveCapacity(plan.jobs.count)
    for index in 0..<plan.jobs.count {
      outcomes.appendReserved(
        HorizonOutcome(firstLeaf: plan.jobs[index].firstLeaf, massBound: 0, isDone: true))
    }
    try states.discardAndResize(to: plan.laterNeeds.referenceFloats)
    try cuts.discardAndResize(to: plan.laterNeeds.cuts)
    try later.reserveCapacity(plan.laterNeeds, workerCount: workerCount)
  }

  /// Plans the second run of a layer whose first one is done.
  mutating func planLater(_ plan: borrowing Plan, jobs: Range<Int>, workerCount: Int) {
    later.plan(plan, jobs: jobs, outcomes: outcomes, workerCount: workerCount)
  }

  /// What the layer's jobs read.
  func report(_ plan: borrowing Plan, jobs range: Range<Int>, pageBytes: Int) -> AttentionReport {
    var report = AttentionReport()
    for index in range where plan.jobs[index].leafCount > 0 {
      let job = plan.jobs[index]
      let outcome = outcomes[index]
      let last = plan.leaves[job.firstLeaf + job.leafCount - 1]
      let start = plan.leaves[outcome.firstLeaf].firstEntry
      let skipped = start - plan.leaves[job.firstLeaf].firstEntry
      report.keyValueBytesSkipped += skipped * pageBytes
      report.keyValueBytesRead += (last.firstEntry + last.entryCount - start) * pageBytes
      report.skippedMassBound = max(report.skippedMassBound, outcome.massBound)
    }
    return report
  }
}
