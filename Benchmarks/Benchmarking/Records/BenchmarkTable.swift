/// Records as a table for people, row by row as they come.
package struct BenchmarkTable {
  /// Columns of the rows before; a new heading is due when they change.
  private var heading = ""

  package init() {}

  /// The lines of one record: a heading where the kind of record changes, and the row.
  package mutating func lines(for record: BenchmarkRecord) -> [String] {
    let columns = Self.columns(of: record)
    let heading = Self.line(columns.map { ($0.title, $0.width) })
    let row = Self.line(columns.map { ($0.text, $0.width) })
    guard heading != self.heading else { return [row] }
    let isFirst = self.heading.isEmpty
    self.heading = heading
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

  private static func line(_ cells: [(text: String, width: Int)]) -> String {
    let line = cells.enumerated().map { index, cell in
      index == 0 || index == cells.count - 1
        ? DecimalText.left(cell.text, cell.width) : DecimalText.right(cell.text, cell.width)
    }.joined(separator: " ")
    return String(line.reversed().drop { $0 == " " }.reversed())
  }

  private static func columns(of record: BenchmarkRecord) -> [Column] {
    func decimal(_ value: Double?) -> String? { value.map(DecimalText.short) }
    func percent(_ value: Double?) -> String? { value.map { DecimalText.fixed(100 * $0, 1) + "%" } }
    var columns = [Column("operation", record.operation, 9)]
    if let depth = record.depth {
      columns += [
        Column("model", record.model, 36), Column("depth", "\(depth)", 7),
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
    guard let epsilon = record.alibiEpsilon, epsilon > 0 else { return position }
    return position + " ε"
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
