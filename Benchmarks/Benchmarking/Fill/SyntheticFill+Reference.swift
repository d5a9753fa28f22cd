package import StreamingAttention
import Synchronization

extension SyntheticFill {
  /// The error of some rows of an output against Double over the keys and values as stored.
  ///
  /// Reads the pages, so it is called inside the step, after `append`, or after its commit.
  ///
  /// - Parameters:
  ///   - layer: The layer.
  ///   - queries: What was asked, `[row][queryHead][keyWidth]`.
  ///   - output: What was answered, `[row][queryHead][valueWidth]`.
  ///   - reader: The engine that attended; that of the fill if nil.
  ///   - count: Rows of each sequence, its newest; all that it was made for if nil.
  ///   - sequence: Which of the sequences.
  ///   - kvHead: Whose query heads are compared.
  ///   - which: Which of the sequence's rows; the newest if nil.
  /// - Returns: The error of all compared rows together.
  /// - Throws: ``FillError`` if the sequence has been dropped.
  /// - Precondition: Lengths are those of the step, indices within them.
  package func relativeError(
    layer: Int, queries: Span<Float>, output: Span<Float>, for reader: AttentionEngine? = nil,
    rows count: Int? = nil, sequence: Int = 0, kvHead: Int = 0, which: Range<Int>? = nil
  ) throws(FillError) -> RelativeError {
    try compare(
      layer: layer, queries: queries, output: output, for: reader, rows: count, sequence: sequence,
      kvHead: kvHead, which: which
    ).error
  }

  /// ``relativeError(layer:queries:output:for:rows:sequence:kvHead:which:)``, and along which stretches of keys the differences lie.
  func compare(
    layer: Int, queries: Span<Float>, output: Span<Float>, for reader: AttentionEngine? = nil,
    rows count: Int? = nil, sequence: Int = 0, kvHead: Int = 0, which: Range<Int>? = nil
  ) throws(FillError) -> (error: RelativeError, missing: MissingKeys) {
    let reader = reader ?? engine
    let stored = rows.layers[layer].stored
    let heads = reader.layers[layer].queryHeads
    let group = heads / stored.kvHeads
    let sequences = asking(count)
    let rowCount = sequences.reduce(0) { $0 + $1.queries }
    precondition(output.count == rowCount * heads * stored.valueWidth, "\(output.count) numbers")
    let own = sequences[sequence]
    let which = which ?? max(own.queries - 1, 0)..<own.queries
    let expected = try answers(
      layer: layer, queries: queries, for: reader, asking: count, sequence: sequence,
      kvHead: kvHead,
      rows: which)
    let firstRow = sequences[..<sequence].reduce(0) { $0 + $1.queries } + which.lowerBound
    var (error, missing) = (RelativeError(), MissingKeys())
    for (index, answer) in expected.enumerated() {
      let row = (firstRow + index / group) * heads + kvHead * group + index % group
      error.add(output, at: row * stored.valueWidth, expected: answer.output)
      missing.add(output, at: row * stored.valueWidth, answer: answer)
    }
    return (error, missing)
  }

  /// What some rows of a sequence should get, `[row, head of the group]`.
  func answers(
    layer: Int, queries: Span<Float>, for reader: AttentionEngine, asking count: Int? = nil,
    sequence: Int, kvHead: Int, rows which: Range<Int>
  ) throws(FillError) -> [DoubleAttention.Answer] {
    let attention = reader.layers[layer]
    let stored = rows.layers[layer].stored
    let (heads, group) = (attention.queryHeads, attention.queryHeads / stored.kvHeads)
    let sequences = asking(count)
    let rowCount = sequences.reduce(0) { $0 + $1.queries }
    precondition(queries.count == rowCount * heads * stored.keyWidth, "\(queries.count) numbers")
    let firstRow = sequences[..<sequence].reduce(0) { $0 + $1.queries }
    let firstToken = sequences[sequence].length - sequences[sequence].queries
    var asked: [DoubleAttention.Row] = []
    for row in which {
      for head in kvHead * group..<(kvHead + 1) * group {
        let first = ((firstRow + row) * heads + head) * stored.keyWidth
        asked.append(
          DoubleAttention.Row(
            position: rows.position(ofToken: firstToken + row, sequence: sequence),
            slope: attention.alibi.map { Double($0.slopes[head]) } ?? 0,
            sink: attention.sinks.map { Double($0[head]) },
            query: (0..<stored.keyWidth).map { Double(queries[first + $0]) }))
      }
    }
    return try reference(
      DoubleAttention(
        rows: asked, rotary: attention.rotary(ofEpoch: rows.epoch), firstRotary: attention.rotary,
        epoch: rows.epoch,
        scale: Double(attention.scale ?? 1 / Float(stored.keyWidth).squareRoot()),
        softcap: attention.softcap.map(Double.init), isCausal: attention.mask == .causal,
        window: attention.window ?? .max),
      layer: layer, sequence: sequence, kvHead: kvHead)
  }

  /// The answers of some rows in Double, shared among the workers in runs of entries.
  private func reference(
    _ attention: DoubleAttention, layer: Int, sequence: Int, kvHead: Int
  ) throws(FillError) -> [DoubleAttention.Answer] {
    let cache = engine.cache
    var entries: [LiveEntry] = []
    try FillError.wrapping { () throws(CacheError) in
      try cache.forEachLiveEntry(of: ids[sequence], table: cache.table(ofLayer: layer)) {
        entries.append($0)
      }
    }
    // SAFETY: pages are only read, and nothing writes them before the call returns.
    nonisolated(unsafe) let pages = StoredPages(cache, layer: layer, kvHead: kvHead)
    let all = entries
    let stretch = max(1, (all.count + MissingKeys.mostStretches - 1) / MissingKeys.mostStretches)
    let run = stretch * max(1, SummationOrder.largestLeafEntries / stretch)
    let runs = (all.count + run - 1) / run
    let results = Mutex([[[DoubleAttention.State]]](repeating: [], count: runs))
    engine.workers.forEachIndex(runs) { index in
      let slice = all[index * run..<min((index + 1) * run, all.count)]
      let states = attention.states(over: slice, in: unsafe pages, stretch: stretch)
      results.withLock { $0[index] = states }
    }
    let states = results.withLock { $0 }
    let none = [Double](repeating: 0, count: cache.layers[layer].valueWidth)
    return attention.rows.indices.map { row in
      let stretches = states.flatMap { $0[row] }
      var whole = DoubleAttention.State(output: none)
      for state in stretches { whole.merge(state) }
      if let sink = attention.rows[row].sink {
        whole.merge(DoubleAttention.State(maximum: sink, denominator: 1, output: none))
      }
      return DoubleAttention.Answer(whole: whole, stretches: stretches)
    }
  }
}
