import KernelTable

extension AttentionEngine {
  /// Computes the attention of the step's query rows in one layer.
  ///
  /// A row that sees no key gives zeros.
  ///
  /// - Parameters:
  ///   - layer: The layer, whose keys and values of this step have been appended.
  ///   - queries: `[row][queryHead][keyWidth]`, not rotated.
  ///   - output: `[row][queryHead][valueWidth]`, overwritten.
  ///   - cancellation: Looked at between tiles.
  /// - Throws: ``AttentionError`` for a wrong length, without a step, or for a layer that the step's tokens have not been
  ///   appended to; ``AttentionError/cancelled``, after which `output` holds some of the rows only.
  /// - Returns: What was read, and a bound on what was left out.
  @discardableResult
  public func attend(
    layer: Int, queries: Span<Float>, into output: inout MutableSpan<Float>,
    cancellation: CancellationFlag? = nil
  ) throws(AttentionError) -> AttentionReport {
    var none = MutableSpan<Float>()
    return try attend(
      layer: layer, queries: queries, into: &output, logSumExp: &none, wantsLogSumExp: false,
      cancellation: cancellation)
  }

  /// As ``attend(layer:queries:into:cancellation:)``, and hands out each row's log-sum-exp.
  ///
  /// - Parameters:
  ///   - layer: The layer, whose keys and values of this step have been appended.
  ///   - queries: `[row][queryHead][keyWidth]`, not rotated.
  ///   - output: `[row][queryHead][valueWidth]`, overwritten.
  ///   - logSumExp: `[row][queryHead]`: natural logarithm of the softmax denominator, the sink included; −∞ for a
  ///     row that sees no key and has no sink.
  ///   - cancellation: Looked at between tiles.
  /// - Throws: ``AttentionError`` as the other `attend`.
  /// - Returns: As the other `attend`.
  @discardableResult
  public func attend(
    layer: Int, queries: Span<Float>, into output: inout MutableSpan<Float>,
    logSumExp: inout MutableSpan<Float>, cancellation: CancellationFlag? = nil
  ) throws(AttentionError) -> AttentionReport {
    try attend(
      layer: layer, queries: queries, into: &output, logSumExp: &logSumExp, wantsLogSumExp: true,
      cancellation: cancellation)
  }

  private func attend(
    layer: Int, queries: Span<Float>, into output: inout MutableSpan<Float>,
    logSumExp: inout MutableSpan<Float>, wantsLogSumExp: Bool, cancellation: CancellationFlag?
  ) throws(AttentionError) -> AttentionReport {
    try checkStep(layer: layer, for: "attend")
    let shape = shapes[settings[layer].shape]
    let rows = plan.queryCount * shape.queryHeads
    try checkLength("queries", queries.count, rows * shape.keyWidth)
    try checkLength("output", output.count, rows * shape.valueWidth)
    if wantsLogSumExp { try checkLength("logSumExp", logSumExp.count, rows) }
    try checkWritten(layer: layer, for: "attend")
    if rows == 0 { return AttentionReport() }
    let finished = unsafe queries.withUnsafeBufferPointer { queries in
      unsafe output.withUnsafeMutableBufferPointer { output in
        unsafe logSumExp.withUnsafeMutableBufferPointer { logSumExp in
          guard let queries = queries.baseAddress, let output = output.baseAddress
          else { return true }
          return unsafe runTiles(
            layer: layer, queries: queries, output: output,
            logSumExp: wantsLogSumExp ? logSumExp.baseAddress : nil, cancellation: cancellation)
        }
      }
    }
    if !finished {
      counters.reset()
      throw .cancelled
    }
    noted.endLayer(plan, jobs: jobs(ofShape: settings[layer].shape))
    return report(layer: layer)
  }

  /// What a run over the layer read.
  private func report(layer: Int) -> AttentionReport {
    let settings = settings[layer]
    if settings.horizon == nil {
      let pages = plan.shapeEntries[settings.shape]
      return AttentionReport(
        keyValueBytesRead: pages.plain * settings.pageBytes + pages.coded * settings.codedPageBytes)
    }
    return horizon.report(plan, jobs: jobs(ofShape: settings.shape), pageBytes: settings.pageBytes)
  }

  private func jobs(ofShape shape: Int) -> Range<Int> {
    plan.shapeJobs[shape]..<plan.shapeJobs[shape + 1]
  }

  private func runTiles(
    layer: Int, queries: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>,
    logSumExp: UnsafeMutablePointer<Float>?, cancellation: CancellationFlag?
  ) -> Bool {
    let settings = settings[layer]
    let shape = shapes[settings.shape]
    unsafe pages.removeAll()
    // Where no request has a page there may be no addresses, and no leaf asks for one.
    if plan.hasEntries(inTable: settings.table) {
      for kvHead in 0..<shape.kvHeads {
        unsafe pages.appendReserved(cache.pageAddresses(layer: layer, kvHead: kvHead))
      }
    }
    let first = plan.shapeTiles[settings.shape]
    let count = plan.shapeTiles[settings.shape + 1] - first
    // SAFETY: every buffer belongs to the engine and stands still until `run` returns; the caller holds the spans.
    var run = unsafe LayerRun(
      kernels: kernels, traits: traits, settings: settings, shape: shape,
      tiles: plan.tiles.baseAddress + first,
      jobs: plan.jobs.baseAddress, requests: plan.requests.baseAddress,
      tables: plan.tables.baseAddress + settings.table * plan.requests.count,
      leaves: plan.leaves.baseAddress, members: UnsafePointer(plan.members.baseAddress),
      nodes: UnsafePointer(plan.nodes.baseAddress),
      entries: settings.rotation < 0 && plan.unturnedEntries.count > 0
        ? plan.unturnedEntries.baseAddress : plan.entries.baseAddress,
      positions: plan.positions.baseAddress,
      tokenTurns: settings.rotation < 0
        ? nil : UnsafePointer(turns[settings.rotation].tokens.baseAddress),
      runTurns: settings.rotation < 0
        ? nil : UnsafePointer(turns[settings.rotation].runs.baseAddress),
      slotTurns: settings.rotation < 0
        ? nil : UnsafePointer(turns[settings.rotation].slots.baseAddress),
      rotaryScales: settings.rotation < 0
        ? nil : UnsafePointer(turns[settings.rotation].scales.baseAddress),
      slopes: settings.firstSlope < 0
        ? nil : UnsafePointer(slopes.baseAddress + settings.firstSlope),
      sinks: settings.firstSink < 0 ? nil : UnsafePointer(sinks.baseAddress + settings.firstSink),
      pages: UnsafePointer(pages.baseAddress), bias: stepBias?.address,
      biasHeads: stepBias?.heads ?? 1, queries: queries, output: output,
      logSumExp: logSumExp, states: states.baseAddress, counters: counters.baseAddress,
      scratch: UnsafeMutableRawPointer(scratch.baseAddress), scratchBytes: scratchBytes,
      records: plan.notesAttention ? noted.records.baseAddress : nil,
      shares: noted.shares.baseAddress, horizon: horizonRun(layer: layer))
    noted.beginLayer()
    guard unsafe runTiles(count, &run, cancellation) else { return false }
    guard unsafe run.horizon != nil else { return true }
    horizon.planLater(plan, jobs: jobs(ofShape: settings.shape), workerCount: workers.count)
    if horizon.later.tiles.count == 0 { return true }
    unsafe run.jobs = UnsafePointer(horizon.later.jobs.baseAddress)
    unsafe run.tiles = UnsafePointer(horizon.later.tiles.baseAddress)
    return unsafe runTiles(horizon.later.tiles.count, &run, cancellation)
  }

  private func runTiles(
    _ count: Int, _ run: inout LayerRun, _ cancellation: CancellationFlag?
  ) -> Bool {
    unsafe workers.run(count, context: &run, cancellation: cancellation) { context, tile, worker in
      unsafe TileRunner.run(
        UnsafePointer(context.assumingMemoryBound(to: LayerRun.self)), tile: tile, worker: worker)
    }
  }

  /// What a layer with a horizon adds to its run; nil for others.
  private func horizonRun(layer: Int) -> HorizonRun? {
    let settings = settings[layer]
    guard let bounds = settings.horizon else { return nil }
    unsafe horizon.norms.removeAll()
    if plan.hasEntries(inTable: settings.table) {
      for kvHead in 0..<shapes[settings.shape].kvHeads {
        unsafe horizon.norms.appendReserved(
          UnsafePointer(cache.pageNorms(layer: layer, kvHead: kvHead)))
      }
    }
    return unsafe HorizonRun(
      settings: stepBias == nil ? bounds : bounds.readingAll,
      references: plan.references.baseAddress + plan.shapeReferences[settings.shape],
      norms: UnsafePointer(horizon.norms.baseAddress), states: horizon.states.baseAddress,
      cuts: horizon.cuts.baseAddress, outcomes: horizon.outcomes.baseAddress)
  }
}
