import Benchmarking
import StreamingAttention

/// What a layer answered.
struct StressAnswer {
  /// `[row][queryHead][channel]`.
  var output: [Float]
  /// `[row][queryHead]`.
  var logSumExp: [Float]
  var report: AttentionReport
  var nanoseconds: UInt64

  /// The output of one row and head, counted together.
  func row(_ number: Int) -> ArraySlice<Float> {
    let width = output.count / logSumExp.count
    return output[number * width..<(number + 1) * width]
  }
}

extension StressSubject {
  /// Attention of one layer in the step in progress.
  func attend(
    layer: Int, queries: [Float], _ cancellation: CancellationFlag
  ) throws(StressError) -> StressAnswer {
    var output = [Float](repeating: 0, count: queries.count)
    var logSumExp = [Float](
      repeating: 0, count: queries.count / options.shape.headDimension)
    var outputSpan = output.mutableSpan
    var sumSpan = logSumExp.mutableSpan
    let start = Stopwatch.now
    var report = AttentionReport()
    do throws(AttentionError) {
      report = try engine.attend(
        layer: layer, queries: queries.span, into: &outputSpan, logSumExp: &sumSpan,
        cancellation: cancellation)
    } catch {
      throw StressError(error)
    }
    let time = Stopwatch.now - start
    damage?(&output)
    return StressAnswer(output: output, logSumExp: logSumExp, report: report, nanoseconds: time)
  }

  /// Compares some heads of one KV head with attention over the naive list; `rows` are their places in the answer.
  func compare(
    _ answer: StressAnswer, rows places: [Int], queries: [[Float]], with pair: Pair, layer: Int,
    heads: [Int], asked: Int? = nil
  ) throws(StressError) {
    let oracle = TokenOracle(
      rows: rows, layer: layer, heads: heads, attention: attention, types: options.types)
    let states = try oracle.states(
      over: pair.list, queries: queries, workers: engine.workers,
      stored: try storedTokens(
        try storedEntries(pair, layer: layer), layer: layer, queryHead: heads[0]))
    let units = RoundingUnits(options.types)
    for (index, state) in states.enumerated() {
      let ratio = state.worstRatio(
        output: answer.row(places[index]), logSumExp: answer.logSumExp[places[index]],
        skippedMass: Double(answer.report.skippedMassBound), units: units)
      guard !(ratio <= 1) else { continue }
      let question =
        asked.map { "asked for token \($0) of \(pair.list.count)" }
        ?? "asked about all \(pair.list.count) tokens"
      throw .failed(
        "sequence \(pair.number), layer \(layer), query head \(heads[index]), \(question): "
          + "off by \(DecimalText.short(ratio)) times what rounding explains")
    }
  }

  /// The entries of a sequence, where the cache is quantised.
  func storedEntries(_ pair: Pair, layer: Int) throws(StressError) -> [LiveEntry]? {
    guard options.types.isQuantized else { return nil }
    var entries: [LiveEntry] = []
    try StressError.wrapping { () throws(CacheError) in
      try cache.forEachLiveEntry(of: pair.id, table: cache.table(ofLayer: layer)) {
        entries.append($0)
      }
    }
    return entries
  }

  /// What the cache holds of entries for a query head; nil without them.
  func storedTokens(
    _ entries: [LiveEntry]?, layer: Int, queryHead: Int
  ) throws(StressError) -> StoredTokens? {
    guard let entries, !entries.isEmpty else { return nil }
    return StoredTokens(
      entries, of: cache, layer: layer,
      kvHead: queryHead / (attention.queryHeads / options.shape.kvHeads), types: options.types,
      rotary: attention.rotary)
  }

  /// What the cache holds of one token; nil where nothing is quantised.
  ///
  /// - Throws: `failed` if it is not what was given.
  func storedToken(
    _ index: Int, of pair: Pair, in entries: [LiveEntry]?, layer: Int, queryHead: Int
  ) throws(StressError) -> StoredTokens.Token? {
    guard let stored = try storedTokens(entries, layer: layer, queryHead: queryHead) else {
      return nil
    }
    var token = StoredTokens.Token()
    guard stored.read(index, into: &token) else {
      throw .failed("sequence \(pair.number): no page holds token \(index)")
    }
    let kvHead = queryHead / (attention.queryHeads / options.shape.kvHeads)
    let number = pair.list.tokens[index]
    if let defect = stored.defect(
      token, index, of: pair.list,
      key: rows.key(layer: layer, kvHead: kvHead, token: number),
      value: rows.value(layer: layer, kvHead: kvHead, token: number).map(
        options.types.value.stored))
    {
      throw .failed("sequence \(pair.number), layer \(layer), KV head \(kvHead): \(defect)")
    }
    return token
  }

  /// Asks a question that no token was made for, and compares one KV head's answers with the naive list.
  func checkOracle(
    _ index: Int, layer: Int, kvHead: Int, number: Int, _ cancellation: CancellationFlag
  ) throws(StressError) {
    let pair = pairs[index]
    let width = options.shape.headDimension
    var queries: [Float] = []
    for head in 0..<attention.queryHeads {
      var row = [Float](repeating: 0, count: width)
      var span = row.mutableSpan
      rows.fillQuery(&span, layer: layer, queryHead: head, number: number)
      queries += row
    }
    do throws(AttentionError) {
      try engine.begin([StepRequest(pair.id, appending: 0, querying: 1)])
    } catch {
      throw StressError(error)
    }
    defer { engine.abandon() }
    let answer = try attend(layer: layer, queries: queries, cancellation)
    let group = attention.queryHeads / options.shape.kvHeads
    let heads = Array(kvHead * group..<(kvHead + 1) * group)
    try compare(
      answer, rows: heads,
      queries: heads.map { Array(queries[$0 * width..<($0 + 1) * width]) }, with: pair,
      layer: layer, heads: heads)
  }

  /// Compares what the cache says of its sequences with the lists, and recounts its books.
  func checkBooks() throws(StressError) {
    for pair in pairs {
      let (length, next) = try StressError.wrapping { () throws(CacheError) in
        (try cache.length(of: pair.id), try cache.nextPosition(of: pair.id))
      }
      let position = pair.list.position(of: pair.list.count)
      guard length == pair.list.count, next == position else {
        throw .failed(
          "sequence \(pair.number) has \(length) tokens and goes on at \(next); "
            + "it should have \(pair.list.count) and go on at \(position)")
      }
      try checkPages(of: pair)
    }
    guard cache.sequenceCount == pairs.count else {
      throw .failed("the cache has \(cache.sequenceCount) sequences, not \(pairs.count)")
    }
    if let defect = cache.checkInvariants().first {
      throw .failed("the cache's books are wrong: \(defect)")
    }
  }
}
