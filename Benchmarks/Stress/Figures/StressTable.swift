import Benchmarking
import StreamingAttention

/// What came of a run, for people.
package enum StressTable {
  /// The lines of a summary: what was done, latency and memory by context, operations, the end.
  package static func lines(for summary: StressSummary) -> [String] {
    let (options, figures) = (summary.options, summary.figures)
    let shape = options.shape
    var lines = [
      "\(options.preset.rawValue): \(options.layers) layers of "
        + "\(shape.queryHeads)/\(shape.kvHeads) × \(shape.headDimension), "
        + "\(options.types.name), position \(options.position.rawValue), "
        + "\(options.threads) threads, \(options.instructionSet.rawValue), seed \(options.seed)"
    ]
    lines += contexts(figures)
    lines += operations(figures)
    lines += ["", counts(figures)] + memory(figures).split(separator: "\n").map(String.init)
    lines += history(figures)
    lines += figures.snapshotSpeed?.lines ?? []
    lines += nodes(figures)
    let verdict =
      figures.checksFailed == 0 ? "all right" : "\(figures.checksFailed) FAILED"
    lines.append(
      "\(figures.checksPassed + figures.checksFailed) checks, \(verdict); "
        + "\(DecimalText.short(figures.seconds)) s")
    return lines
  }

  /// Latency and memory, each narrow enough for a terminal of 80 columns.
  private static func contexts(_ figures: StressFigures) -> [String] {
    guard !figures.contexts.isEmpty else { return [] }
    var latency = [
      [
        "context", "append p50", "p99", "max µs", "commits p99", "decode p50", "p95", "p99 ms",
        "GB/s",
      ]
    ]
    var memory = [["context", "pages", "committed", "process"]]
    for (context, own) in figures.contexts.sorted(by: { $0.key < $1.key }) {
      let (append, decode) = (own.append.quantiles, own.decode.quantiles)
      latency.append([
        "≤ \(length(context))", micro(append.medianMilliseconds), micro(append.p99Milliseconds),
        own.append.count > 0 ? micro(Double(own.append.maximumNanoseconds) / 1e6) : "–",
        micro(own.appendWithCommits.quantiles.p99Milliseconds),
        milli(decode.medianMilliseconds), milli(decode.p95Milliseconds),
        milli(decode.p99Milliseconds), own.gigabytesPerSecond.map(DecimalText.short) ?? "–",
      ])
      memory.append([
        "≤ \(length(context))", bytes(own.formulaBytes), bytes(own.committedBytes),
        own.residentBytes.map(bytes) ?? "–",
      ])
    }
    return [""] + aligned(latency) + [""] + aligned(memory)
  }

  private static func operations(_ figures: StressFigures) -> [String] {
    guard !figures.operations.isEmpty else { return [] }
    var table = [["operation", "count", "p50 µs", "p99 µs", "max µs"]]
    for (name, samples) in figures.operations.sorted(by: { $0.key < $1.key }) {
      let quantiles = samples.quantiles
      table.append([
        name, "\(samples.count)", micro(quantiles.medianMilliseconds),
        micro(quantiles.p99Milliseconds), micro(Double(samples.maximumNanoseconds) / 1e6),
      ])
    }
    return [""] + aligned(table)
  }

  private static func counts(_ figures: StressFigures) -> String {
    let counts: [(Int, String)] = [
      (figures.steps, "steps"), (figures.tokensAppended, "tokens appended"),
      (figures.forks, "forks"), (figures.shifts, "shifts"), (figures.evictions, "evictions"),
      (figures.truncations, "truncations"), (figures.merges, "merges"),
      (figures.evictedPages, "pages evicted"), (figures.pins, "pins"),
      (figures.releasedTokens, "tokens released"), (figures.emptiedExtents, "extents emptied"),
      (figures.drops, "sequences dropped"), (figures.snapshots, "snapshots"),
      (figures.restorations, "restored"), (figures.kills, "processes killed"),
      (figures.refusals, "times out of memory"),
      (figures.faultsInjected, "faults injected"),
    ]
    let texts = counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
    return texts.isEmpty ? "nothing done" : texts.joined(separator: ", ")
  }

  private static func memory(_ figures: StressFigures) -> String {
    var text =
      "at most \(bytes(figures.peakFormulaBytes)) of pages, "
      + "\(bytes(figures.peakCommittedBytes)) committed"
    if let peak = figures.peakResidentBytes { text += ", process \(bytes(peak))" }
    if let committed = figures.committedBytesAfterDrop {
      text += "\nwith all dropped \(bytes(committed)) committed"
      if let resident = figures.residentBytesAfterDrop { text += ", process \(bytes(resident))" }
    }
    return text
  }

  private static func history(_ figures: StressFigures) -> [String] {
    guard let history = figures.history else { return [] }
    return [
      "decode of the \(history.sequences) longest after this: "
        + "\(DecimalText.short(history.gigabytesPerSecond)) GB/s, "
        + "\(DecimalText.fixed(history.ratio, 3)) of sequences that grew and forked alike; "
        + "\(DecimalText.fixed(history.turnsPer2048Slots, 2)) turns per 2,048 slots, "
        + "pages \(DecimalText.fixed(history.pageFill, 2)) full"
    ]
  }

  private static func nodes(_ figures: StressFigures) -> [String] {
    guard figures.residentBytesByNode.count > 1 else { return [] }
    let nodes = figures.residentBytesByNode.sorted { $0.key < $1.key }
    return [
      "process by node: " + nodes.map { "\($0.key): \(bytes($0.value))" }.joined(separator: ", ")
    ]
  }

  /// Where a run is: `growth 5104: 131072 tokens × 1, 3.21/3.40/3.52 ms, 24.1 GB/s, 1.20 GiB resident of 1.10 GiB`.
  ///
  /// That is the longest sequence of the step and how many there are; p50, p95 and p99 of the newest steps of one token for each
  /// sequence; and what the process holds beside what the formula says of the pages. Where memory has several nodes, what lies on
  /// each follows.
  static func progress(
    _ preset: StressPreset, _ figures: StressFigures, sequences: Int, context: Int
  ) -> String {
    var text = "\(preset.rawValue) \(figures.steps): \(context) tokens × \(sequences)"
    let recent = Samples(nanoseconds: figures.recentSteps)
    if recent.count > 0 {
      text +=
        ", \(DecimalText.short(recent.medianMilliseconds))/"
        + "\(DecimalText.short(recent.p95Milliseconds))/"
        + "\(DecimalText.short(recent.p99Milliseconds)) ms"
      if let speed = figures.contexts[StressFigures.bucket(context)]?.gigabytesPerSecond {
        text += ", \(DecimalText.fixed(speed, 1)) GB/s"
      }
    }
    let resident = figures.residentBytes.map { "\(bytes($0)) resident of " } ?? ""
    text += ", \(resident)\(bytes(figures.formulaBytes))"
    guard figures.residentBytesByNode.count > 1 else { return text }
    let nodes = figures.residentBytesByNode.sorted { $0.key < $1.key }
    return text + ", nodes " + nodes.map { "\($0.key): \(bytes($0.value))" }.joined(separator: " ")
  }

  // MARK: Texts

  /// Columns as wide as they need, the first one on the left side.
  private static func aligned(_ table: [[String]]) -> [String] {
    let widths = table[0].indices.map { column in
      table.reduce(0) { max($0, $1[column].count) }
    }
    return table.map { row in
      row.indices.map { column in
        column == 0
          ? DecimalText.left(row[column], widths[column])
          : DecimalText.right(row[column], widths[column])
      }.joined(separator: "  ")
    }
  }

  private static func micro(_ milliseconds: Double) -> String {
    milliseconds.isNaN ? "–" : DecimalText.fixed(milliseconds * 1e3, 1)
  }

  private static func milli(_ milliseconds: Double) -> String {
    milliseconds.isNaN ? "–" : DecimalText.short(milliseconds)
  }

  /// `128K`, or the number itself where it is no multiple of 1,024.
  static func length(_ count: Int) -> String {
    switch count {
    case (1 << 20)... where count % (1 << 20) == 0: "\(count >> 20)M"
    case (1 << 10)... where count % (1 << 10) == 0: "\(count >> 10)K"
    default: "\(count)"
    }
  }

  /// `1.50 GiB`.
  static func bytes(_ count: Int) -> String {
    count < 1 << 30
      ? DecimalText.fixed(Double(count) / Double(1 << 20), 1) + " MiB"
      : DecimalText.fixed(Double(count) / Double(1 << 30), 2) + " GiB"
  }
}
