/// Records as a table for people, row by row as they come.
package struct BenchmarkTable {
  /// Columns of the rows before; a new heading is due when they change.
  private var titles: [String] = []
  private var heading = ""
  /// By title: what is known to come, and the widest so far.
  private var widths: [String: Int]

  /// A table of whatever comes: a text that is wider than its column brings a new heading.
  package init() { widths = [:] }

  /// The table of a run, as wide as the texts that its options name.
  package init(for options: BenchmarkOptions) {
    let sequences = options.mode == .forks ? options.forks : 1
    let texts = [
      "operation": options.mode == .edits ? EditTimes.Edit.allCases.map(\.rawValue) : [],
      "context": options.contexts.map { $0.repeated(sequences).description },
      "rows": options.queryLengths.map(\.description),
      "depth": options.depths.map(\.description),
      "type": options.types.map(\.name),
      "position": options.positions.map { Self.name($0.rawValue, hasHorizon: $0.isBiased) },
      "limit": options.mode == .limits ? MachineLimit.allCases.map(\.rawValue) : [],
      "model": [options.mode == .model ? options.argument : options.model]
        .compactMap(\.self).map(BenchmarkRun.name),
    ]
    widths = texts.mapValues { $0.map(\.count).max() ?? 0 }
  }

  /// The lines of one record: a heading where the kind of record changes, and the row.
  package mutating func lines(for record: BenchmarkRecord) -> [String] {
    var columns = Self.columns(of: record)
    // A record that lacks a column, as a model's prefill does beside its decode, stands below the same heading.
    if columns.allSatisfy({ titles.contains($0.title) }) {
      columns = titles.map { title in
        columns.first { $0.title == title } ?? Column(title, nil, 0)
      }
    }
    // Notes, the last, have nothing behind them.
    for column in columns.dropLast() {
      widths[column.title] = max(widths[column.title] ?? 0, column.width, column.text.count)
    }
    let heading = line(columns.map { ($0.title, $0.title) })
    let row = line(columns.map { ($0.title, $0.text) })
    guard heading != self.heading else { return [row] }
    let isFirst = self.heading.isEmpty
    self.heading = heading
    titles = columns.map(\.title)
    return (isFirst ? [] : [""]) + [heading, row]
  }

  private struct Column {
    var title: String
    var text: String
    var width: Int

    init(_ title: String, _ text: String?, _ width: Int) {
      self.title = title
      self.text = text ?? "–"
      self.width = width
    }
  }

  private func line(_ cells: [(title: String, text: String)]) -> String {
    let line = cells.enumerated().map { index, cell in
      let width = widths[cell.title] ?? 0
      return index == 0 || index == cells.count - 1
        ? DecimalText.left(cell.text, width) : DecimalText.right(cell.text, width)
    }.joined(separator: " ")
    return String(line.reversed().drop { $0 == " " }.reversed())
  }

  private static func columns(of record: BenchmarkRecord) -> [Column] {
    func decimal(_ value: Double?) -> String? { value.map(DecimalText.short) }
    func percent(_ value: Double?) -> String? { value.map { DecimalText.fixed(100 * $0, 1) + "%" } }
    var columns = [Column("operation", record.operation, 9)]
    if let depth = record.depth {
      columns += [
        Column("model", record.model, 5), Column("depth", "\(depth)", 7),
        Column("rows", record.queryLength.map { "\($0)" }, 5),
        Column("type", typeName(record), 8), Column("weights", record.weightType, 7),
      ]
    } else if record.context != nil {
      columns += [
        Column("context", record.contexts ?? record.context.map { "\($0)" }, 9),
        Column("rows", record.queryLength.map { "\($0)" }, 5),
        Column("type", typeName(record), 8), Column("position", positionName(record), 10),
      ]
    }
    columns.append(Column("threads", record.threads.map { "\($0)" }, 7))
    if record.engine == nil, let set = record.instructionSet {
      columns.append(Column("set", set, 10))
    }
    if let engine = record.engine {
      return columns + [
        Column("median ms", decimal(record.medianMilliseconds), 9),
        Column("tokens/s", decimal(record.tokensPerSecond), 9),
        Column("× ours", decimal(record.timesOurs), 7),
        Column("error", record.relativeError.map(DecimalText.scientific), 7),
        Column("engine", engine, 36), Column("notes", notes(record), 5),
      ]
    }
    if record.medianMilliseconds != nil {
      columns += [
        Column("median ms", decimal(record.medianMilliseconds), 9),
        Column("p95 ms", decimal(record.p95Milliseconds), 8),
      ]
    }
    if let p99 = record.p99Milliseconds { columns.append(Column("p99 ms", decimal(p99), 8)) }
    for field in record.others {
      columns.append(Column(field.name, field.text, max(field.name.count, 8)))
    }
    if let speed = record.tokensPerSecond {
      columns.append(Column("tokens/s", DecimalText.short(speed), 9))
    }
    if record.gigabytesPerSecond != nil {
      columns += [
        Column("GB/s", decimal(record.gigabytesPerSecond), 6),
        Column("limit", decimal(record.readLimitGigabytesPerSecond), 6),
        Column("of limit", percent(record.fractionOfReadLimit), 8),
        Column("of binding", percent(record.fractionOfBindingLimit), 10),
      ]
    }
    if record.gigaflopsPerSecond != nil {
      columns += [
        Column("GFLOP/s", decimal(record.gigaflopsPerSecond), 7),
        Column("peak", decimal(record.peakGigaflopsPerSecond), 6),
        Column("of peak", percent(record.fractionOfPeak), 7),
      ]
    }
    if record.model == nil, record.operation == "decode" || record.operation == "prefill" {
      columns.append(
        Column("of none", record.relativeToNone.map { DecimalText.fixed($0, 3) }, 7))
      columns.append(Column("error", record.relativeError.map(DecimalText.scientific), 7))
    }
    columns.append(Column("notes", notes(record), 5))
    return columns
  }

  private static func typeName(_ record: BenchmarkRecord) -> String? {
    guard let key = record.keyType, let value = record.valueType else { return nil }
    return key == value ? key : "\(key)/\(value)"
  }

  private static func positionName(_ record: BenchmarkRecord) -> String? {
    guard let position = record.position else { return nil }
    return name(position, hasHorizon: record.alibiEpsilon.map { $0 > 0 } ?? false)
  }

  private static func name(_ position: String, hasHorizon: Bool) -> String {
    hasHorizon ? position + " ε" : position
  }

  private static func notes(_ record: BenchmarkRecord) -> String {
    var notes: [String] = []
    if let speedup = record.speedupOverDense {
      notes.append("\(DecimalText.fixed(speedup, 1)) × dense")
    }
    if let epsilon = record.alibiEpsilon, epsilon > 0, let mass = record.skippedMassBound {
      notes.append("skipped ≤ \(DecimalText.scientific(mass))")
    }
    if let rotation = record.keyRotation { notes.append("keys \(rotation)") }
    switch record.selfCheck?.passed {
    case true: notes.append("right")
    case false: notes.append("WRONG")
    case nil: break
    }
    if record.engine != nil, record.timesOurs == nil { notes.append("no record of ours counts") }
    if record.inCache == true { notes.append("in cache") }
    if record.isSteady == false { notes.append("not steady") }
    if let attempts = record.attempts, attempts > 1 { notes.append("attempt \(attempts)") }
    return notes.joined(separator: ", ")
  }
}
