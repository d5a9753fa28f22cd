import Glibc
import KernelTable

/// What a step that notes attention needs beside the plan; empty for others.
struct NotedAttention: ~Copyable {
  /// While a layer runs, what each row paid to each entry: `[job][entry][row]`.
  var records: GrowingBuffer<EntryMass>
  /// While a layer runs, the sum over the rows of a job: `[job][entry]`.
  var shares: GrowingBuffer<Double>
  /// The sum over everything that the step has computed so far, beside the plan's entries.
  var masses: GrowingBuffer<Double>

  /// Bytes of records at most.
  static let mostBytes = 256 << 20

  init() throws(AttentionError) {
    let records = try GrowingBuffer<EntryMass>()
    let shares = try GrowingBuffer<Double>()
    let masses = try GrowingBuffer<Double>()
    self.records = records
    self.shares = shares
    self.masses = masses
  }

  mutating func prepare(for plan: borrowing Plan) throws(AttentionError) {
    records.removeAll()
    shares.removeAll()
    masses.removeAll()
    guard plan.notesAttention else { return }
    let bytes = plan.recordCount * MemoryLayout<EntryMass>.stride
    guard bytes <= Self.mostBytes else {
      throw .request(
        received: "attention of the rows to \(plan.recordCount) pages, one for each row and head",
        allowed: "at most \(Self.mostBytes / MemoryLayout<EntryMass>.stride); ask for fewer rows")
    }
    try records.discardAndResize(to: plan.recordCount)
    try shares.discardAndResize(to: plan.shareCount)
    try masses.discardAndResize(to: plan.entries.count)
    for index in 0..<masses.count { masses[index] = 0 }
  }

  /// Nothing has been noted in the layer that is to run.
  mutating func beginLayer() {
    records.withMutableSpan { span in
      for index in span.indices { span[index] = .none }
    }
  }

  /// Adds what the jobs of a layer have noted, in their order.
  mutating func endLayer(_ plan: borrowing Plan, jobs: Range<Int>) {
    guard plan.notesAttention else { return }
    for index in jobs where plan.jobs[index].leafCount > 0 {
      let job = plan.jobs[index]
      for entry in 0..<job.notedCount {
        masses[job.firstNoted + entry] += shares[job.firstShare + entry]
      }
    }
  }
}

extension Plan {
  /// Gives every job of a shape room for what its rows pay to each entry.
  mutating func placeRecords(of range: Range<Int>) {
    guard notesAttention else { return }
    var (records, shares) = (0, 0)
    for index in range where jobs[index].leafCount > 0 {
      let job = jobs[index]
      let last = leaves[job.firstLeaf + job.leafCount - 1]
      let first = leaves[job.firstLeaf].firstEntry
      jobs[index].firstNoted = first
      jobs[index].notedCount = last.firstEntry + last.entryCount - first
      (jobs[index].firstRecord, jobs[index].firstShare) = (records, shares)
      records += jobs[index].notedCount * job.rowCount
      shares += jobs[index].notedCount
    }
    recordCount = max(recordCount, records)
    shareCount = max(shareCount, shares)
  }
}

extension TileRunner {
  /// Sums a job's records over its rows: a state's part in a row is Σ 2^(score − m) · 2^(m − M) × the factor of the row's end.
  static func noteShares(_ run: UnsafePointer<LayerRun>, job: PlannedJob, state: StateRows) {
    guard let records = unsafe run.pointee.records else { return }
    let group = unsafe run.pointee.shape.group
    // SAFETY: the plan gave the job its places among records and shares.
    let shares = unsafe run.pointee.shares + job.firstShare
    for entry in 0..<job.notedCount { unsafe shares[entry] = 0 }
    for row in 0..<job.rowCount {
      let sink = unsafe run.pointee.sinks.map { unsafe $0[job.kvHead * group + row % group] }
      let maximum = unsafe state.maxima[row]
      let factor = unsafe normalisation(
        maximum: maximum, denominator: state.denominators[row], sink: sink
      ).factor
      for entry in 0..<job.notedCount {
        let record = unsafe records[job.firstRecord + entry * job.rowCount + row]
        guard record.sum != 0 else { continue }
        unsafe shares[entry] +=
          Double(record.sum) * exp2(Double(record.maximum) - Double(maximum)) * Double(factor)
      }
    }
  }

  /// Forgets a leaf's records of the rows that do not read it.
  static func forgetRecords(
    _ run: UnsafePointer<LayerRun>, job: PlannedJob, leaf index: Int, horizon: HorizonTile
  ) {
    guard let records = unsafe run.pointee.records else { return }
    let leaf = unsafe run.pointee.leaves[index]
    for row in 0..<job.rowCount where unsafe index < Int(horizon.cuts[row]) {
      for entry in leaf.firstEntry - job.firstNoted..<leaf.firstEntry - job.firstNoted
        + leaf.entryCount
      {
        unsafe records[job.firstRecord + entry * job.rowCount + row] = .none
      }
    }
  }
}

extension AttentionEngine {
  /// How much attention the rows of a request have paid so far to each live page of the layer's page table, oldest first.
  ///
  /// The layers of the table that have been computed in this step are summed, over rows and query heads; a row's sum over all pages
  /// is 1 for each head and layer, less what went to a sink, 0 if it sees nothing, and beside rounding. Pages that a horizon
  /// left unread count 0. A commit adds it to what the cache keeps for ``KVCache/evict(from:layer:to:by:)``.
  ///
  /// - Parameters:
  ///   - request: The number of the request in the step.
  ///   - layer: A layer of the table.
  /// - Returns: One for each page.
  /// - Throws: ``AttentionError`` outside of a step, of one that does not note attention, or for a request or layer that is
  ///   not there.
  /// - Complexity: O(pages).
  public func attention(ofRequest request: Int, layer: Int) throws(AttentionError)
    -> [PageAttention]
  {
    try checkStep(layer: layer, for: "attention")
    guard plan.notesAttention else {
      throw .noStep(
        received: "attention in a step that does not note it",
        allowed: "begin(_:options: .notingAttention)")
    }
    guard request >= 0, request < plan.requests.count else {
      throw .request(received: "request \(request)", allowed: "0..<\(plan.requests.count)")
    }
    let number = settings[layer].table
    var index = plan.tables[number * plan.requests.count + request].firstEntry
    let sequence = slotRequests[request].sequence
    var pages: [PageAttention] = []
    try AttentionError.wrapping { () throws(CacheError) in
      try cache.forEachLiveEntry(of: sequence, table: number) { entry in
        pages.append(PageAttention(tokens: entry.tokens, mass: noted.masses[index]))
        index += 1
      }
    }
    return pages
  }

  /// Adds what the step has noted to what the cache keeps of each page.
  func keepNoted() {
    guard plan.notesAttention else { return }
    for table in 0..<cache.tableCount {
      for request in 0..<plan.requests.count {
        let planned = plan.tables[table * plan.requests.count + request]
        cache.note(in: slotRequests[request].sequence, table: table) {
          noted.masses[planned.firstEntry + $0]
        }
      }
    }
  }
}
