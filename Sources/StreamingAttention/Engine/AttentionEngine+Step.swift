import KernelTable

extension AttentionEngine {
  /// Begins a step: reserves the slots of all new tokens in all layers and plans the attention of its rows.
  ///
  /// Rows and tokens of the requests follow one another in the spans of `append` and `attend`.
  ///
  /// - Parameters:
  ///   - requests: What each sequence appends and asks.
  ///   - options: What the step does beside; nothing unless told otherwise.
  /// - Throws: ``AttentionError``, with the cache as it was.
  public func begin(
    _ requests: [StepRequest], options: StepOptions = StepOptions()
  ) throws(AttentionError) {
    guard reservation == nil else {
      throw .noStep(received: "begin inside a step", allowed: "commit or abandon the step first")
    }
    slotRequests.removeAll(keepingCapacity: true)
    for request in requests {
      let allowed = 0...KVCache.positions.upperBound
      guard allowed.contains(request.tokenCount), allowed.contains(request.queryCount) else {
        throw .request(
          received: "\(request.tokenCount) tokens and \(request.queryCount) rows",
          allowed: "0…\(allowed.upperBound) of each")
      }
      if request.queryCount > request.tokenCount { try checkRows(of: request) }
      slotRequests.append(SlotRequest(request.sequence, appending: request.tokenCount))
    }
    let reserved = try AttentionError.wrapping { () throws(CacheError) in
      try cache.reserve(slotRequests)
    }
    do {
      try makePlan(requests, options)
    } catch {
      cache.abandon(reserved)
      throw error
    }
    populatePages()
    reservation = reserved
  }

  /// Throws if a row would stand before position 0: planning takes time and memory for every row, whether or not it sees a key.
  private func checkRows(of request: StepRequest) throws(AttentionError) {
    let end = try AttentionError.wrapping { () throws(CacheError) in
      try cache.nextPosition(of: request.sequence) + request.tokenCount
    }
    guard request.queryCount <= end else {
      throw .request(
        received: "\(request.queryCount) rows that end before position \(end)",
        allowed: "up to \(end), the first of which stands at position 0")
    }
  }

  private func makePlan(
    _ requests: [StepRequest], _ options: StepOptions
  ) throws(AttentionError) {
    plan.removeStep()
    plan.notesAttention = options.notesAttention
    try plan.list(requests, for: shapes, in: cache)
    try plan.cutTiles(shapes: shapes, workerCount: workers.count)
    for tables in turns { try tables.fill(for: plan) }
    try states.discardAndResize(to: plan.stateFloats)
    try horizon.prepare(for: plan, workerCount: workers.count)
    try noted.prepare(for: plan)
    counters.reserve(plan.counterCount)
    var needed = 0
    for shape in shapes {
      let rows = plan.largestJobRows(group: shape.group)
      needed = max(needed, unsafe TileScratch.byteCount(for: shape, rowCount: rows))
    }
    // Whole pages of the machine, so that two workers never share a cache line.
    scratchBytes = (needed + 4095) / 4096 * 4096
    try scratch.discardAndResize(to: scratchBytes * workers.count)
  }

  /// Makes the step's tokens part of their sequences.
  ///
  /// In quantised layers, workers turn the pages that are no longer among a sequence's newest into codes.
  ///
  /// - Precondition: A step is in progress, and its tokens, if it has any, have been appended to every layer: the pages of another
  ///   layer would be read with whatever they held before.
  public func commit() {
    guard let reservation else { preconditionFailure("commit without begin") }
    if let layer = unwrittenLayer() {
      preconditionFailure(
        "commit without append(layer: \(layer)): append the step's tokens to every layer, or abandon it"
      )
    }
    keepNoted()
    cache.commit(reservation)
    self.reservation = nil
  }

  /// Gives the step up: sequences and memory are as before `begin`.
  ///
  /// - Precondition: A step is in progress.
  public func abandon() {
    guard let reservation else { preconditionFailure("abandon without begin") }
    cache.abandon(reservation)
    self.reservation = nil
  }

  /// The first layer that lacks the keys and values of the step's tokens; nil if there is none.
  private func unwrittenLayer() -> Int? {
    (0..<settings.count).first { !isWritten(layer: $0) }
  }

  /// Whether the layer holds whatever the step's tables show.
  private func isWritten(layer: Int) -> Bool {
    plan.tokenCount == 0 || writtenSteps[layer] == reservation?.step
  }

  /// Throws if a layer would be read before the step's tokens are in it: their slots hold what the memory held before.
  func checkWritten(layer: Int, for call: String) throws(AttentionError) {
    guard isWritten(layer: layer) else {
      throw .notAppended(layer: layer, call: call, tokenCount: plan.tokenCount)
    }
  }

  func checkStep(layer: Int, for call: String) throws(AttentionError) {
    guard reservation != nil else {
      throw .noStep(received: "\(call) without begin", allowed: "begin a step first")
    }
    guard settings.indices.contains(layer) else {
      throw .layer(received: layer, allowed: settings.indices)
    }
  }

  func checkLength(_ name: String, _ received: Int, _ allowed: Int) throws(AttentionError) {
    guard received == allowed else {
      throw .length(name: name, received: received, allowed: allowed)
    }
  }
}
