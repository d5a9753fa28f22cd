import Benchmarking
import Generation
import StreamingAttention

/// What one sequence does in a step.
struct StepWork {
  /// Index of the pair.
  var index: Int
  var appended: Int
  /// Whether its newest token asks, in every layer and query head, for one of the sequence's tokens.
  var asks: Bool
}

/// What a step took.
struct StepFigures {
  /// Reserving, writing and making the tokens live, in all layers; nanoseconds.
  var append: UInt64 = 0
  /// Whether page memory was committed in it.
  var hasCommitted = false
  /// Attention in all layers, nanoseconds.
  var attend: UInt64 = 0
  var bytesRead = 0
  /// Tokens of the longest sequence afterwards.
  var context = 0
  /// Answers compared, and sequences whose releases were.
  var checks = 0
  /// Tokens given back that have left a window.
  var releasedTokens = 0
}

extension StressSubject {
  /// One step of the engine in both: tokens are appended, and those who ask get the answer that is known.
  ///
  /// - Throws: ``StressError``, with both as they were.
  func step(
    _ work: [StepWork], random: inout SplitMix64, cancellation: CancellationFlag
  ) throws(StressError) -> StepFigures {
    var figures = StepFigures()
    let requests = work.map {
      StepRequest(pairs[$0.index].id, appending: $0.appended, querying: $0.asks ? 1 : 0)
    }
    let committed = committedBytes
    let start = Stopwatch.now
    var stepOptions = StepOptions()
    stepOptions.notesAttention = notesAttention
    do throws(AttentionError) {
      try engine.begin(requests, options: stepOptions)
    } catch {
      throw StressError(error)
    }
    figures.append = Stopwatch.now - start
    let reserved = committedBytes
    figures.hasCommitted = reserved > committed
    let appended = work.reduce(0) { $0 + $1.appended }
    let tokens = Array(tokenCount..<tokenCount + UInt32(appended))
    var first = 0
    for work in work {
      pairs[work.index].list.append(tokens[first..<first + work.appended])
      first += work.appended
    }
    do throws(StressError) {
      for layer in cache.layers.indices {
        try append(tokens, layer: layer, &figures)
        try ask(work, layer: layer, &figures, &random, cancellation)
      }
    } catch {
      for work in work {
        let length = pairs[work.index].list.count - work.appended
        pairs[work.index].list.truncate(to: length)
      }
      engine.abandon()
      throw error
    }
    figures.append += Stopwatch.time { engine.commit() }
    // Ahead of need.
    if committedBytes > reserved { figures.hasCommitted = true }
    tokenCount += UInt32(appended)
    for work in work { try followRelease(of: work.index, &figures) }
    figures.context = work.reduce(0) { max($0, pairs[$1.index].list.count) }
    return figures
  }

  /// Page memory that is committed, ahead of need too.
  var committedBytes: Int { cache.byteCount + cache.aheadByteCount }

  private func append(
    _ tokens: [UInt32], layer: Int, _ figures: inout StepFigures
  ) throws(StressError) {
    guard !tokens.isEmpty else { return }
    rows.fill(
      layer: layer, tokens: tokens, keys: &keys, values: &values, workers: engine.workers)
    let (keys, values) = (keys, values)
    let start = Stopwatch.now
    do throws(AttentionError) {
      try engine.append(layer: layer, keys: keys.span, values: values.span)
    } catch {
      throw StressError(error)
    }
    figures.append += Stopwatch.now - start
  }

  /// Lets the newest token of every sequence that asks ask for one of its tokens, another one for each query head.
  private func ask(
    _ work: [StepWork], layer: Int, _ figures: inout StepFigures, _ random: inout SplitMix64,
    _ cancellation: CancellationFlag
  ) throws(StressError) {
    let asking = work.filter(\.asks)
    guard !asking.isEmpty else { return }
    var asked: [AskedToken] = []
    var queries: [Float] = []
    for work in asking {
      let pair = pairs[work.index]
      let entries = try storedEntries(pair, layer: layer)
      for head in 0..<attention.queryHeads {
        let index = choose(from: pair.list, queryHead: head, &random)
        let token = AskedToken(
          index, of: pair.list, rows: rows, layer: layer, queryHead: head, attention: attention,
          types: options.types,
          stored: try storedToken(
            index, of: pair, in: entries, layer: layer, queryHead: head))
        asked.append(token)
        queries += token.query
      }
    }
    let answer = try attend(layer: layer, queries: queries, cancellation)
    figures.attend += answer.nanoseconds
    figures.bytesRead += answer.report.keyValueBytesRead
    for (row, work) in asking.enumerated() {
      for head in 0..<attention.queryHeads {
        let number = row * attention.queryHeads + head
        let verdict = asked[number].verdict(
          output: answer.row(number), logSumExp: answer.logSumExp[number])
        if verdict == .unclear {
          try compare(
            answer, rows: [number], queries: [asked[number].query], with: pairs[work.index],
            layer: layer, heads: [head], asked: asked[number].index)
        }
        figures.checks += 1
      }
    }
  }

  /// Any token that the head can see well; often one of those where something could go wrong.
  private func choose(
    from list: TokenList, queryHead: Int, _ random: inout SplitMix64
  ) -> Int {
    let reach = AskedToken.reach(of: list, queryHead: queryHead, attention: attention)
    let oldest = list.count - reach
    let any = Int.random(in: oldest..<list.count, using: &random)
    var chosen = any
    switch Int.random(in: 0..<8, using: &random) {
    case 0: chosen = oldest
    case 1: chosen = list.count - 1
    case 2: chosen = min(max(list.seam, oldest), list.count - 1)
    case 3: chosen = min(max(list.seam - 1, oldest), list.count - 1)
    default: break
    }
    // The newest token is never evicted.
    while list.areEvicted[chosen] { chosen += 1 }
    return chosen
  }
}
